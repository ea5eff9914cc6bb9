"""What people correct: each correction is safe on disk at once, and many go into the inbox as one batch."""

import base64
import binascii
import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from filelock import FileLock
from pydantic import BaseModel, ValidationError

from artifacts.storage.store import disk_errors
from tasks.data.images import Grey
from tasks.retraining.inbox import add

FULL = 100
"""Corrections that are worth a batch."""
OLD = 600
"""Seconds after which the first correction waits no longer for others."""


class Correction(BaseModel, frozen=True):
    """An image as a model of `dataset` saw it, base64 of uint8 (height, width), the label that a person gave it, and
    when.
    """

    pixels: str
    shape: tuple[int, int]
    label: int
    dataset: str = ""
    at: float
    """Seconds since 1970."""

    @property
    def image(self) -> Grey:
        return np.frombuffer(base64.b64decode(self.pixels), np.uint8).reshape(self.shape)


def keep(image: Grey, label: int, dataset: str, home: Path) -> int:
    """Append a correction to those of its data set, and return how many wait. It is on disk when this returns."""
    pixels = base64.b64encode(image.tobytes()).decode()
    line = Correction(pixels=pixels, shape=image.shape, label=label, dataset=dataset, at=time.time()).model_dump_json()
    with _locked(home) as folder:
        path = folder / f"{dataset.replace('/', '_')}-{image.shape[1]}x{image.shape[0]}.jsonl"
        with path.open("a+b") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 1))
            torn = file.read() not in (b"", b"\n")  # by a crash; what follows shall not be lost with it
            file.write(b"\n" * torn + line.encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        return len(_read(path))


def waiting(home: Path) -> dict[str, list[Correction]]:
    """The corrections that are not in the inbox yet, by data set and size."""
    return {path.stem: _read(path) for path in sorted((home / "corrections").glob("*.jsonl"))}


def is_due(home: Path) -> bool:
    """Whether the corrections of some data set are many or old enough for a batch."""
    return any(c and (len(c) >= FULL or time.time() - c[0].at > OLD) for c in waiting(home).values())


def hand_in(home: Path) -> list[Path]:
    """Put all corrections into the inbox, a batch for each data set and size.

    They are set apart before and deleted after; if that is cut short, the same batch arrives again, which the ledger
    of batches knows by its content.
    """
    if not (home / "corrections").is_dir():
        return []
    with _locked(home) as folder:
        for path in folder.glob("*.jsonl"):
            path.rename(folder / f"{time.time_ns()}-{path.stem}.sealed")
        return [placed for path in sorted(folder.glob("*.sealed")) if (placed := _hand_in(path, home))]


def _hand_in(sealed: Path, home: Path) -> Path | None:
    found = {(correction.pixels, correction.shape): correction for correction in _read(sealed)}  # the last word counts
    placed = None
    if found:
        packed = sealed.with_name(f"corrections-{sealed.stem.partition('-')[2]}.npz")
        corrections = list(found.values())
        images, labels = np.stack([c.image for c in corrections]), np.array([c.label for c in corrections], np.uint8)
        np.savez_compressed(packed, images=images, labels=labels, dataset=corrections[0].dataset)
        placed = add(packed, home)
        with placed.open("rb") as file:
            os.fsync(file.fileno())
        packed.unlink()
    sealed.unlink()
    return placed


def _read(path: Path) -> list[Correction]:
    found: list[Correction] = []
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:  # handed in meanwhile
        return found
    for line in lines:
        with contextlib.suppress(ValidationError, binascii.Error):  # torn by a crash before it was acknowledged
            found.append(Correction.model_validate_json(line))
    return found


@contextlib.contextmanager
def _locked(home: Path) -> Iterator[Path]:
    folder = home / "corrections"
    with disk_errors(home):
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock"):
            yield folder
