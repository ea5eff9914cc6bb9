"""How much disk the artifacts take, and eviction of the least recently used ones."""

import contextlib
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel

from artifacts.storage.home import OBJECTS, TEMPORARY
from artifacts.storage.store import Store

STALE = 24 * 3600
"""Age in seconds from which a scratch folder must be a killed process's."""


class Usage(BaseModel):
    """The files of one kind: their number, their bytes, and the seconds since the first and the last use of one."""

    kind: str
    files: int
    bytes: int
    least_recent: float
    most_recent: float


class Pruned(BaseModel):
    """The number and bytes of evicted artifacts, the bytes left, and how many of these are needed and never evicted."""

    evicted: int
    freed: int
    left: int
    needed: int


@dataclass(frozen=True)
class Needed:
    """Artifacts that must stay: by name, by kind, or because they were used at the Unix time `since` or later."""

    names: frozenset[str] = frozenset()
    kinds: frozenset[str] = frozenset()
    since: float = float("inf")


class _File(NamedTuple):
    path: Path
    bytes: int
    used: float

    @property
    def kind(self) -> str:
        return self.path.name.partition(".")[2]


def survey(store: Store) -> list[Usage]:
    """How much disk the artifacts of each kind take."""
    kinds: dict[str, list[_File]] = {}
    for file in _files(store):
        kinds.setdefault(file.kind, []).append(file)
    now = time.time()
    return [
        Usage(
            kind=kind,
            files=len(files),
            bytes=sum(file.bytes for file in files),
            least_recent=now - min(file.used for file in files),
            most_recent=now - max(file.used for file in files),
        )
        for kind, files in sorted(kinds.items())
    ]


def prune(store: Store, needed: Needed, max_bytes: int | None = None, older_than: float | None = None) -> Pruned:
    """Evict what was not used for `older_than` seconds, then the least recently used, until `max_bytes` are left.

    The caller holds STARTING_LOCK from before it finds out what is needed, so that no run starts meanwhile.
    """
    _remove_stale_scratch(store)
    files = sorted(_files(store), key=lambda file: file.used)
    evictable = [file for file in files if not _is_needed(file, needed)]
    left = total = sum(file.bytes for file in files)
    evicted = 0
    for file in evictable:
        is_old = older_than is not None and file.used < time.time() - older_than
        if is_old or (max_bytes is not None and left > max_bytes):
            file.path.unlink(missing_ok=True)
            left, evicted = left - file.bytes, evicted + 1
    kept = total - sum(file.bytes for file in evictable)
    return Pruned(evicted=evicted, freed=total - left, left=left, needed=kept)


def _is_needed(file: _File, needed: Needed) -> bool:
    name = "/".join(file.path.parts[-2:])
    return file.kind in needed.kinds or name in needed.names or file.used >= needed.since


def _files(store: Store) -> Iterator[_File]:
    for path in (store.home / OBJECTS).glob("*/*"):
        with contextlib.suppress(FileNotFoundError):
            status = path.stat()
            yield _File(path, status.st_size, status.st_atime)


def _remove_stale_scratch(store: Store) -> None:
    for folder in (store.home / TEMPORARY).glob("*"):
        with contextlib.suppress(FileNotFoundError):
            if folder.stat().st_mtime < time.time() - STALE:
                shutil.rmtree(folder, ignore_errors=True)
