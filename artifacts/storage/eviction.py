"""How much disk the artifacts take, and which of them can go."""

import contextlib
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel

from artifacts.lineage.manifest import damaged_runs, is_alive, manifests, starting
from artifacts.storage.cache_entries import references
from artifacts.storage.store import Store
from tasks.retraining.inbox import accepted

SMALL = ("json", "html", "weights.h5")
"""Kinds that a kept run's report, verdict and model consist of. Arrays can always be computed anew."""

STALE = 24 * 3600
"""Seconds after which a scratch folder is left over from a killed process."""


class Usage(BaseModel):
    """Files of one kind: how many, their bytes, and the seconds since the first and the last use among them."""

    kind: str
    files: int
    bytes: int
    least_recent: float
    most_recent: float


class Pruned(BaseModel):
    """What eviction took, what it left, and how many of the bytes left are needed and so stay whatever the limit."""

    evicted: int
    freed: int
    left: int
    needed: int


class _File(NamedTuple):
    path: Path
    bytes: int
    used: float


def survey(store: Store) -> list[Usage]:
    """What is in the store, by kind."""
    kinds: dict[str, list[_File]] = {}
    for file in _files(store):
        kinds.setdefault(file.path.name.partition(".")[2], []).append(file)
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


def prune(store: Store, max_bytes: int | None = None, older_than: float | None = None) -> Pruned:
    """Evict what was not used for `older_than` seconds, then the least recently used, until `max_bytes` are left.

    Accepted batches stay, as does what a kept run's report, verdict and model consist of, and all that was used since
    the first of the runs under way began. While some manifest is damaged, every report, verdict and model stays.
    """
    with starting(store):
        _sweep(store)
        needed, since = _needed(store)
        spared = SMALL if damaged_runs(store) else ()
        files = sorted(_files(store), key=lambda file: file.used)
        left, evicted, freed, kept = sum(file.bytes for file in files), 0, 0, 0
        for file in files:
            is_spared = file.path.name.partition(".")[2] in spared
            if is_spared or "/".join(file.path.parts[-2:]) in needed or file.used >= since:
                kept += file.bytes
            elif (max_bytes is not None and left > max_bytes) or (
                older_than is not None and file.used < time.time() - older_than
            ):
                file.path.unlink(missing_ok=True)
                left, evicted, freed = left - file.bytes, evicted + 1, freed + file.bytes
    return Pruned(evicted=evicted, freed=freed, left=left, needed=kept)


def _needed(store: Store) -> tuple[set[str], float]:
    """Names of the artifacts that runs need, and the time at which the first run under way began."""
    names = {ref.name for batch in accepted(store) for ref in (batch.data.images, batch.data.labels)}
    since = float("inf")
    for manifest in manifests(store):
        alive = is_alive(store, manifest)
        if alive:
            since = min(since, manifest.started.timestamp())
        for step in manifest.steps:
            names |= {ref.name for ref in references(step.result) if alive or ref.kind in SMALL}
    return names, since


def _files(store: Store) -> Iterator[_File]:
    for path in (store.home / "objects").glob("*/*"):
        with contextlib.suppress(FileNotFoundError):
            status = path.stat()
            yield _File(path, status.st_size, status.st_atime)


def _sweep(store: Store) -> None:
    """Remove what killed processes left."""
    for folder in (store.home / "tmp").glob("*"):
        with contextlib.suppress(FileNotFoundError):
            if folder.stat().st_mtime < time.time() - STALE:
                shutil.rmtree(folder, ignore_errors=True)
