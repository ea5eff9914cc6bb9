"""A folder or URL of images, in portions that are read, predicted and remembered one by one."""

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Any

import fsspec
from pydantic import BaseModel

from artifacts.errors import DigitflowError, UsageError
from artifacts.storage.arrays import CHUNK
from artifacts.storage.store import Store, canonical_json, disk_errors
from tasks.model.forward import BATCH
from tasks.prediction.sources import LoadedImage, count, is_array, is_known, read

_TOLD = {
    *("mtime", "created", "modify", "ETag", "etag", "LastModified", "Last-Modified", "last_modified"),
    *("Content-MD5", "md5Hash", "version_id"),
}
"""What file systems say of a file's state, besides its size."""
REFUSED = (401, 403, 404, 410)
"""Statuses of HTTP that are about one file."""


class File(BaseModel, frozen=True):
    """A file of a source. `name` is relative to it, `state` tells one content from another without reading it."""

    path: str
    name: str
    state: str


class Shard(BaseModel, frozen=True):
    """Some files of a source, or the images from `start` to before `stop` of one that holds many."""

    source: str
    files: tuple[File, ...]
    start: int = 0
    stop: int | None = None


def images(portion: Shard, store: Store, max_bytes: int) -> Iterator[LoadedImage]:
    """The images of a portion, in their order. Raises DigitflowError if the source cannot be reached."""
    files, _ = _opened(portion.source)
    for file in portion.files:
        with _scratch(portion.source, file, store) as folder:
            path = Path(file.path) if _is_local(files) else folder / "file"
            if not _is_local(files) and not path.exists():
                if refusal := _get(files, file.path, folder / "fetched", portion.source):
                    yield LoadedImage(file.name, None, refusal)
                    continue
                if json.loads(file.state)["size"] not in (None, (folder / "fetched").stat().st_size):
                    raise _changed(file)
                (folder / "fetched").rename(path)
            yield from read(path, file.name, folder, max_bytes, portion.start, portion.stop)
        if _is_local(files) and _file(files, file.path, file.name).state != file.state:
            raise _changed(file)


def _changed(file: File) -> DigitflowError:
    return DigitflowError(f"{file.name} changed while it was read; run again")


@contextlib.contextmanager
def _scratch(source: str, file: File, store: Store) -> Iterator[Path]:
    """A folder to fetch and unpack a file in. An array's stays, for its next portion, until another array is read."""
    if not is_array(file.name):
        with store.scratch() as folder:
            yield folder
        return
    with disk_errors(store.home):
        kept = _kept(source, file, store)
        os.utime(kept.name)  # old ones are swept
        yield Path(kept.name)


@lru_cache(maxsize=1)
def _kept(_source: str, _file: File, store: Store) -> "TemporaryDirectory[str]":
    (store.home / "tmp").mkdir(parents=True, exist_ok=True)
    return TemporaryDirectory(dir=store.home / "tmp", ignore_cleanup_errors=True)


def portions(source: str) -> Iterator[Shard]:
    """All images of a folder or URL in the order of their names, arrays first. Raises UsageError if there are none."""
    files, root = _opened(source)
    found = _found(files, root, source)
    if not found:
        raise UsageError(f"{source} has no PNG, JPEG, BMP, .npy or idx3-ubyte file in it")
    for file in found:
        if is_array(file.name):
            yield from _slices(files, file, source)
    pictures = [file for file in found if not is_array(file.name)]
    for i in range(0, len(pictures), BATCH):
        yield Shard(source=source, files=tuple(pictures[i : i + BATCH]))


def _slices(files: Any, file: File, source: str) -> Iterator[Shard]:
    try:
        with files.open(file.path, "rb") as opened:
            number = count(opened, json.loads(file.state)["size"])
    except Exception:  # each file system raises its own
        number = 1  # its error is a row
    for start in range(0, max(number, 1), CHUNK):
        yield Shard(source=source, files=(file,), start=start, stop=start + CHUNK)


def _found(files: Any, root: str, source: str) -> list[File]:
    try:
        if is_known(root.rpartition("/")[2]) and files.isfile(root):
            return [_file(files, root, root.rpartition("/")[2])]
        entries = files.find(root, detail=True)
        if not entries:
            files.ls(root)  # raises if it cannot be read, which find hides
        names = {path: path.removeprefix(root.rstrip("/")).lstrip("/") for path in sorted(entries) if is_known(path)}
        return [_file(files, path, name, entries[path]) for path, name in names.items()]
    except Exception as error:  # each file system raises its own
        raise _unreadable(source, error) from error


def _file(files: Any, path: str, name: str, entry: Mapping[str, Any] = MappingProxyType({})) -> File:
    """A file as its listing tells of it, or, if that says too little or is about a link, as the file system does."""
    info = entry
    if entry.get("islink") or not _TOLD & entry.keys():
        info = {}
        with contextlib.suppress(FileNotFoundError):  # it is gone, or a link to nowhere
            info = files.info(path)
    told = {key: str(value) for key, value in info.items() if key in _TOLD}
    return File(path=path, name=name, state=canonical_json(told | {"size": info.get("size")}).decode())


def _opened(source: str) -> tuple[Any, str]:
    try:
        files, root = fsspec.core.url_to_fs(source)
    except Exception as error:
        raise _unreadable(source, error) from error
    return files, root


def _is_local(files: Any) -> bool:
    return "file" in files.protocol


def _get(files: Any, path: str, target: Path, source: str) -> str:
    """Fetch a file; what it returns says why that one cannot be had. Raises DigitflowError if the source fails."""
    try:
        files.get_file(path, str(target))
        return ""
    except Exception as error:
        if isinstance(error, FileNotFoundError | PermissionError) or getattr(error, "status", 0) in REFUSED:
            return f"cannot be read: {' '.join(str(error).split())}"
        raise _unreadable(source, error) from error


def _unreadable(source: str, error: Exception) -> DigitflowError:
    what = " ".join(str(error).split()) or type(error).__name__
    return DigitflowError(f"{source} cannot be read: {what}; check the path, the network and the credentials")
