"""What do people correct? Each correction is on disk at once, and many go into the inbox as one batch."""

import contextlib
import math
import os
import re
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from pydantic import Base64Bytes, BaseModel, Field, PositiveInt, ValidationError

from artifacts.errors import DigitflowError
from artifacts.storage.home import CORRECTIONS, disk_errors, locked
from tasks.data.images import Grey
from tasks.retraining.incoming.inbox import add_batch
from tasks.retraining.incoming.notes import Note

DUE_COUNT = 100
"""Corrections that make a batch due."""
DUE_SECONDS = 600
"""Seconds after which the oldest correction makes a batch due."""

LOCK = f"{CORRECTIONS}/.lock"
"""Held by the process that empties the database or takes in files."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS corrections (
    id INTEGER PRIMARY KEY,
    dataset TEXT NOT NULL,
    height INTEGER NOT NULL,
    width INTEGER NOT NULL,
    pixels BLOB NOT NULL, -- uint8 (height, width), as the model saw them
    label INTEGER NOT NULL,
    at REAL NOT NULL, -- seconds since 1970
    batch TEXT -- the batch that the correction is handed in with; later corrections are not added to it
)
"""
INSERT = "INSERT INTO corrections (dataset, height, width, pixels, label, at, batch) VALUES (?, ?, ?, ?, ?, ?, ?)"
INSERT_NUMBERED = (
    "INSERT INTO corrections (id, dataset, height, width, pixels, label, at) "
    "SELECT max(?, coalesce(max(id) + 1, 0)), ?, ?, ?, ?, ?, ? FROM corrections"
)
"""The number is the time in microseconds: those of a table that is emptied would be given again otherwise."""
COUNT = "SELECT count(*) FROM corrections WHERE (dataset, height, width) = (?, ?, ?)"
SELECT = "SELECT pixels, label FROM corrections WHERE (batch, dataset, width, height) = (?, ?, ?, ?) ORDER BY id"
DELETE = "DELETE FROM corrections WHERE (batch, dataset, width, height) = (?, ?, ?, ?)"


class Waiting(NamedTuple):
    """The corrections of one data set and image size that are not in the inbox yet."""

    name: str
    dataset: str
    corrections: int
    oldest: float
    """Seconds since 1970."""


class Kept(NamedTuple):
    """A correction that is on disk: its number, and how many of its data set and size wait."""

    number: int
    waiting: int


def keep(image: Grey, label: int, dataset: str, home: Path) -> Kept:
    """Keep a correction. It is on disk when this returns. No other correction has its number, now or later."""
    height, width = image.shape
    at = time.time()
    with _database(home) as database, database:
        row = (int(1e6 * at), dataset, height, width, image.tobytes(), label, at)
        database.execute(INSERT_NUMBERED, row)
        (number,) = database.execute("SELECT last_insert_rowid()").fetchone()
        return Kept(number, int(database.execute(COUNT, (dataset, height, width)).fetchone()[0]))


def take_back(number: int, home: Path) -> int | None:
    """Delete a correction, and return how many of its data set and size still wait.

    None if it belongs to a batch already, or was taken back before. A correction that is taken back is in no batch.
    """
    if not (home / CORRECTIONS).is_dir():
        return None
    with _database(home) as database, database:
        row = database.execute("SELECT dataset, height, width FROM corrections WHERE id = ?", (number,)).fetchone()
        if not database.execute("DELETE FROM corrections WHERE id = ? AND batch IS NULL", (number,)).rowcount:
            return None
        return int(database.execute(COUNT, row).fetchone()[0])


def waiting(home: Path) -> list[Waiting]:
    """The corrections that are not in the inbox yet, by data set and size."""
    if not (home / CORRECTIONS).is_dir():
        return []
    query = "SELECT dataset, width, height, count(*), min(at) FROM corrections GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
    with _database(home) as database:
        return [Waiting(_name(*row[:3]), row[0], *row[3:]) for row in database.execute(query)]


def is_due(home: Path) -> bool:
    """Whether the corrections of some data set and size are enough, or old enough, for a batch."""
    return any(w.corrections >= DUE_COUNT or time.time() - w.oldest > DUE_SECONDS for w in waiting(home))


def hand_in(home: Path) -> list[Path]:
    """Put all corrections into the inbox, a batch for each data set and size, and return the batches.

    Each correction is assigned to a batch first and deleted last. After a kill in between, the same batch arrives a
    second time, and the ledger recognises it by its content.
    """
    if not (home / CORRECTIONS).is_dir():
        return []
    with locked(home, LOCK), _database(home) as database:
        with database:
            database.execute("UPDATE corrections SET batch = ? WHERE batch IS NULL", (str(time.time_ns()),))
        query = "SELECT batch, dataset, width, height FROM corrections GROUP BY 1, 2, 3, 4 ORDER BY min(id)"
        return [_hand_in_batch(key, database, home) for key in database.execute(query).fetchall()]


def _hand_in_batch(key: tuple[str, str, int, int], database: sqlite3.Connection, home: Path) -> Path:
    _, dataset, width, height = key
    labels = dict(database.execute(SELECT, key))  # the last word on an image counts
    images = np.frombuffer(b"".join(labels), np.uint8).reshape(-1, height, width)
    packed = home / CORRECTIONS / f"corrections-{_name(dataset, width, height)}.npz"
    with disk_errors(home):
        np.savez_compressed(packed, images=images, labels=np.array([*labels.values()], np.uint8), dataset=dataset)
        placed = add_batch(packed, home, Note(dataset=dataset, origin="corrections"))
        for path in (placed, placed.parent):
            _sync(path)
        with database:
            database.execute(DELETE, key)
        packed.unlink()
    return placed


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def _name(dataset: str, width: int, height: int) -> str:
    safe = re.sub(r"[^\w .()-]", "_", dataset)[:100]  # as part of a file's name
    return f"{safe}-{width}x{height}"


@contextlib.contextmanager
def _database(home: Path) -> Iterator[sqlite3.Connection]:
    path = home / CORRECTIONS / "corrections.db"
    with disk_errors(home):
        path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with contextlib.closing(sqlite3.connect(path, timeout=60, isolation_level="IMMEDIATE")) as database:
            database.execute("PRAGMA synchronous = EXTRA")  # FULL, and the folder is synced when a journal is deleted
            database.execute(SCHEMA)
            _take_in_old_files(database, home)
            yield database
    except sqlite3.Error as error:
        raise DigitflowError(
            f"the corrections in {path} cannot be used: {error}; free some space, make it writable, or restore it from "
            "a backup"
        ) from None


class _Line(BaseModel):
    """A line of the files in which corrections waited until November 2026."""

    pixels: Base64Bytes
    shape: tuple[PositiveInt, PositiveInt]
    label: int = Field(ge=0, le=255)
    dataset: str = ""
    at: float


def _take_in_old_files(database: sqlite3.Connection, home: Path) -> None:
    """Move the corrections of each file into the database, as a batch with the file's name."""
    folder = home / CORRECTIONS
    if not any(path.suffix in (".jsonl", ".sealed") for path in folder.iterdir()):
        return
    with locked(home, LOCK), disk_errors(home):
        for path in folder.glob("*.jsonl"):
            path.rename(folder / f"{time.time_ns()}-{path.stem}.sealed")
        for path in sorted(folder.glob("*.sealed")):
            with database:
                database.execute("DELETE FROM corrections WHERE batch = ?", (path.stem,))  # after a kill before unlink
                database.executemany(INSERT, _rows(path))
            path.unlink()


def _rows(path: Path) -> Iterator[tuple[object, ...]]:
    for content in path.read_bytes().splitlines():
        with contextlib.suppress(ValidationError):  # a crash tore the line before it was acknowledged
            line = _Line.model_validate_json(content)
            if len(line.pixels) == math.prod(line.shape):
                yield line.dataset, *line.shape, line.pixels, line.label, line.at, path.stem
