"""Which images does a folder or URL hold? They fall into shards, each of which is read and predicted on its own."""

import contextlib
import json
import logging
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel

from artifacts.errors import DigitflowError, UsageError
from artifacts.storage.arrays import CHUNK
from artifacts.storage.remote import file_state, open_url
from artifacts.storage.store import Location, Store, canonical_json
from tasks.data.datasets import IMAGE_FILES
from tasks.data.reader.files import HEAD, Kind, count_left_out, is_special, is_system_file
from tasks.model.forward import BATCH
from tasks.prediction.sources import LoadedImage, count_images, image_kind, read_images

REFUSED = (401, 403, 404, 410)
"""HTTP statuses that are about one file."""
_logger = logging.getLogger(__name__)


class File(BaseModel, frozen=True):
    """A file of a source. `name` is relative to the source; `state` differs if the content does, without reading it."""

    path: str
    name: str
    state: str


class Shard(BaseModel, frozen=True):
    """Some files of a source, or the images from `start` to before `stop` of one file that holds many."""

    source: str
    files: tuple[File, ...]
    start: int = 0
    stop: int | None = None


def list_shards(source: str) -> Iterator[Shard]:
    """All images of a folder or URL in the order of their names, arrays first. Raises UsageError if there are none."""
    system, root = _open(source)
    files, left_out = _list_files(system, root, source)
    if not files:
        raise UsageError(f"{source} has no {IMAGE_FILES} file in it")
    if line := count_left_out(left_out):
        _logger.info(line)
    for file, kind in files:
        if kind != "picture":
            yield from _shards_of_array(system, file, source)
    pictures = [file for file, kind in files if kind == "picture"]
    for i in range(0, len(pictures), BATCH):
        yield Shard(source=source, files=tuple(pictures[i : i + BATCH]))


class Workspace(Location):
    """A folder that holds one file of a source at a time, so that an array is fetched and decompressed once for all its
    shards, if these are read in turn.
    """

    def __init__(self, folder: Path):
        self._folder = folder
        self._file: tuple[str, File] | None = None

    @classmethod
    @contextlib.contextmanager
    def within(cls, store: Store) -> Iterator["Workspace"]:
        """A workspace in the store's scratch space. It is gone afterwards."""
        with store.scratch() as folder:
            yield cls(folder / "file")

    def folder_for(self, source: str, file: File) -> Path:
        """The folder, emptied if it holds another file."""
        if self._file != (source, file):
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder.mkdir()
            self._file = source, file
        os.utime(self._folder.parent)  # eviction removes old scratch folders
        return self._folder


def read_shard(shard: Shard, workspace: Workspace, max_bytes: int) -> Iterator[LoadedImage]:
    """The images of a shard, in their order. Raises DigitflowError if the source cannot be reached."""
    system, _ = _open(shard.source)
    for file in shard.files:
        folder = workspace.folder_for(shard.source, file)
        path = Path(file.path) if _is_local(system) else folder / "fetched"
        is_missing = not _is_local(system) and not path.exists()
        if is_missing and (refusal := _fetch(system, file, path, shard.source)):
            yield LoadedImage(file.name, None, refusal)
            continue
        yield from read_images(path, file.name, folder, max_bytes=max_bytes, start=shard.start, stop=shard.stop)
        if _is_local(system) and _describe(system, file.path, file.name).state != file.state:
            raise _changed(file)


def _fetch(system: Any, file: File, target: Path, source: str) -> str:
    """Fetch a remote file; returns why this file was refused, or nothing. Raises DigitflowError if the source fails."""
    part = target.with_name("part-fetched")
    try:
        system.get_file(file.path, str(part))
    except Exception as error:
        if isinstance(error, FileNotFoundError | PermissionError) or getattr(error, "status", 0) in REFUSED:
            return f"cannot be read: {' '.join(str(error).split())}"
        raise _unreadable(source, error) from error
    if json.loads(file.state)["size"] not in (None, part.stat().st_size):
        raise _changed(file)
    part.rename(target)
    return ""


def _changed(file: File) -> DigitflowError:
    return DigitflowError(f"{file.name} changed while it was read; run again")


def _shards_of_array(system: Any, file: File, source: str) -> Iterator[Shard]:
    try:
        with system.open(file.path, "rb") as opened:
            count = count_images(opened, json.loads(file.state)["size"], file.name)
    except Exception:  # each file system raises its own
        count = 1  # reading the shard gives the error
    if count is None:
        yield Shard(source=source, files=(file,))
        return
    for start in range(0, max(count, 1), CHUNK):
        yield Shard(source=source, files=(file,), start=start, stop=start + CHUNK)


def _list_files(system: Any, root: str, source: str) -> tuple[list[tuple[File, Kind]], list[str]]:
    """The files of images with their kinds, and the names of the others, but for those that systems leave there."""
    try:
        if system.isfile(root) and (kind := _kind_of(system, root)):
            return [(_describe(system, root, root.rpartition("/")[2]), kind)], []
        entries = system.find(root, detail=True)
        if not entries:
            system.ls(root)  # raises if it cannot be read, which find hides
        files, left_out = [], []
        for path in sorted(entries):
            name = path.removeprefix(root.rstrip("/")).lstrip("/")
            is_waiting = _is_local(system) and is_special(Path(path))
            if is_waiting or any(map(is_system_file, name.split("/"))):
                continue
            if kind := _kind_of(system, path):
                files.append((_describe(system, path, name, entries[path]), kind))
            else:
                left_out.append(name)
        return files, left_out
    except Exception as error:  # each file system raises its own
        raise _unreadable(source, error) from error


def _kind_of(system: Any, path: str) -> Kind | None:
    def head() -> bytes:
        with contextlib.suppress(Exception), system.open(path, "rb") as file:  # each file system raises its own
            return bytes(file.read(HEAD))
        return b""

    return image_kind(path.rpartition("/")[2], head)


def _describe(system: Any, path: str, name: str, entry: Mapping[str, Any] = MappingProxyType({})) -> File:
    """A file with its state."""
    return File(path=path, name=name, state=canonical_json(file_state(system, path, entry)).decode())


def _open(source: str) -> tuple[Any, str]:
    """The file system of a source, and the path in it."""
    try:
        system, root = open_url(source)
    except Exception as error:
        raise _unreadable(source, error) from error
    return system, root


def _is_local(system: Any) -> bool:
    return "file" in system.protocol


def _unreadable(source: str, error: Exception) -> DigitflowError:
    what = " ".join(str(error).split()) or type(error).__name__
    return DigitflowError(f"{source} cannot be read: {what}; check the path, the network and the credentials")
