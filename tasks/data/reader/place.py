"""Where are people's data, and which content is there? A URL is fetched; a digest tells contents apart."""

import hashlib
import os
import shutil
from pathlib import Path
from typing import Any

from artifacts.errors import BadSource, DigitflowError, UsageError, hide_passwords
from artifacts.storage.home import TEMPORARY, absolute, disk_errors
from artifacts.storage.remote import file_state, open_url
from artifacts.storage.store import canonical_json
from tasks.data import idx
from tasks.data.datasets import NAMES, Place, Source
from tasks.data.reader.files import is_system_file, printable
from tasks.data.reader.layouts import Found, find_data

_COMMON_NAMES = ("train", "data", "dataset", "images", "labels")
_digests: dict[tuple[str, int, int, int], str] = {}


def locate_data(text: str, home: Path, max_bytes: int, name: str = "") -> tuple[Source, Place]:
    """The data set at a path or fsspec URL, by its content, and where it is. It is called `name`, or as its folder.

    Raises UsageError, which says what is there, if it is no data set.
    """
    path = fetch(text, home, max_bytes) if is_url(text) else absolute(Path(text))
    found = find_data(path)
    try:
        digest = content_digest(found, max_bytes)
    except BadSource as error:
        raise UsageError(f"{path}: {error}") from None
    return Source(name=printable(name or name_of(path)), digests=(digest,)), Place(path=str(path), max_bytes=max_bytes)


def name_of(path: Path) -> str:
    """What a data set is called: as its folder, or as its file, unless that is only called train or data."""
    name = path.name if path.is_dir() else path.name.partition(".")[0]
    if path.is_file() and name.lower() in _COMMON_NAMES:
        name = path.parent.name
    return f"{name} (folder)" if name in NAMES else name


def content_digest(found: Found, max_bytes: int) -> str:
    """The SHA-256 that tells data sets apart: by their arrays or files, what each is for, and the names of classes.

    Raises BadSource if a file cannot be read, or unpacks to more than `max_bytes`.
    """
    contents = [
        [split, role, _file_digest(path, max_bytes)]
        for split, part in (("train", found.train), ("test", found.test))
        if part is not None
        for role, path in part.contents
    ]
    return hashlib.sha256(canonical_json([contents, found.class_names])).hexdigest()


def _file_digest(path: Path, max_bytes: int) -> str:
    """The SHA-256 of a file's decompressed content. A process reads each file once, unless it changes."""
    try:
        status = path.stat()
    except OSError:
        return ""  # reading it gives the error
    key = (str(path), status.st_mtime_ns, status.st_size, status.st_ino)
    if key not in _digests:
        _digests[key] = idx.decompress(path, Path(os.devnull), max_bytes)
    return _digests[key]


def is_url(text: str) -> bool:
    """Whether a text names something on a file system that fsspec must reach."""
    return "://" in text


def fetch(url: str, home: Path, max_bytes: int) -> Path:
    """Copy the file or folder at an fsspec URL below the home, unless that was done and it did not change.

    The copy has the name at the URL's end. It is a scratch folder, which eviction removes a day after its last use.
    Raises DigitflowError if the URL cannot be read, or if it holds more than `max_bytes`.
    """
    try:
        system, root = open_url(url)
        entries = _list(system, root)
        if sum(entry.get("size") or 0 for entry in entries.values()) > max_bytes:
            raise DigitflowError(
                f"{hide_passwords(url)} holds more than {max_bytes:,} bytes; copy what is needed to a folder"
            )
        folder = home / TEMPORARY / f"fetched-{hashlib.sha256(canonical_json(entries)).hexdigest()[:16]}"
        target = folder / (root.rstrip("/").rpartition("/")[2] or "data")
        if not target.exists():
            _copy(system, root.rstrip("/"), list(entries), target)
        os.utime(folder)
    except DigitflowError:
        raise
    except Exception as error:  # each file system raises its own
        what = " ".join(str(error).split()) or type(error).__name__
        message = f"{url} cannot be read: {what}; check the URL, the network and the credentials"
        raise DigitflowError(hide_passwords(message)) from error
    return target


def _list(system: Any, root: str) -> dict[str, dict[str, Any]]:
    """The files below `root` that are not a system's own, each with its state."""
    found = system.find(root, detail=True)
    if not found:
        system.ls(root)  # raises if it cannot be read, which find hides
    return {
        path: file_state(system, path, entry)
        for path, entry in found.items()
        if not any(map(is_system_file, path.removeprefix(root).split("/")))
    }


def _copy(system: Any, root: str, paths: list[str], target: Path) -> None:
    with disk_errors(target):
        part = target.with_name(".part")
        shutil.rmtree(part, ignore_errors=True)  # an interrupted fetch may have left it
        for path in paths:
            file = part / path.removeprefix(root).lstrip("/") if path.rstrip("/") != root else part
            file.parent.mkdir(parents=True, exist_ok=True)
            system.get_file(path, str(file))
        part.parent.mkdir(parents=True, exist_ok=True)
        part.rename(target)
