"""What the steps reach, kept in the home between processes: reading it from the source takes a quarter of a second.

It counts only as long as every file of the project is the same, so it cannot hide an edit.
"""

import contextlib
import hashlib
import json
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from artifacts.errors import DigitflowError
from artifacts.lineage.fingerprint import bindings, fingerprint
from artifacts.lineage.source import ROOMS, is_unread
from artifacts.storage.home import FINGERPRINTS
from artifacts.storage.store import Store

Code = tuple[dict[str, str], str]
"""The `fingerprint` and the `bindings` of a function."""

_known: dict[str, Code] = {}
_read_from: list[bytes] = []
"""The digest of the project when this process began to read its files: they may have been edited since."""
_kept: set[str] = set()
"""The functions whose code a home has by now."""


def code_of(module: str, function: str) -> Code:
    """The code that a function reaches; a process reads it once."""
    place = f"{module}:{function}"
    if place not in _known:
        _known[place] = fingerprint(module, function), bindings(module, function)
    return _known[place]


@contextlib.contextmanager
def kept_in(store: Store) -> Iterator[None]:
    """Inside, `code_of` takes what an earlier process read and kept in the home, and what it reads is kept there."""
    project = _project()
    if is_unread():
        _read_from[:] = [project]
    found = _recall(store, project) if not _known else None
    _known.update(found or {})
    _kept.update(found or {})
    yield
    keep(store)


def keep(store: Store) -> None:
    """Keep in the home, if there is one, what this process has read, unless the project was edited since."""
    if _known.keys() - _kept and store.home.is_dir() and (project := _project()) in _read_from:
        body = json.dumps(_known).encode()
        with contextlib.suppress(DigitflowError):  # a disk that cannot be written only costs time
            store.write(FINGERPRINTS, _digest(project, body) + b"\n" + body)
            _kept.update(_known)


def _recall(store: Store, project: bytes) -> dict[str, Code] | None:
    """What was kept for this project, unless it is damaged."""
    digest, _, body = (store.read(FINGERPRINTS) or b"").partition(b"\n")
    if digest != _digest(project, body):
        return None
    return {place: (code, bindings) for place, (code, bindings) in json.loads(body).items()}


def _project() -> bytes:
    """A digest of Python's version and of all files in the project's packages."""
    digest = hashlib.sha256(sys.version.encode())
    for room in ROOMS:
        spec = find_spec(room)
        for folder in spec.submodule_search_locations or () if spec else ():
            for path in _files(Path(folder)):
                digest.update(str(path).encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return digest.digest()


def _files(package: Path) -> Iterator[Path]:
    """The files of a package and its subpackages, in a fixed order."""
    for path in sorted(package.iterdir()):
        if path.is_file():
            yield path
        elif (path / "__init__.py").is_file():
            yield from _files(path)


def _digest(project: bytes, body: bytes) -> bytes:
    return hashlib.sha256(project + body).hexdigest().encode()
