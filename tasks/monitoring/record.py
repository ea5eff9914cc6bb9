"""What did each version read on each day? Counts of images in a database of the home; no image is kept."""

import contextlib
import json
import sqlite3
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import NamedTuple

from artifacts.errors import DigitflowError
from artifacts.storage.home import MONITORING, disk_errors
from artifacts.storage.store import Digest
from tasks.monitoring.drift import PREDICTED, Counts, add_counts

SCHEMA = """
CREATE TABLE IF NOT EXISTS days (
    day TEXT NOT NULL, -- of UTC
    dataset TEXT NOT NULL,
    version INTEGER NOT NULL,
    reference TEXT NOT NULL, -- the digest of the reference whose bins the images are counted in
    counts TEXT NOT NULL, -- JSON: for each statistic, the images in each bin
    is_told INTEGER NOT NULL DEFAULT 0, -- whether the day's drift was announced
    PRIMARY KEY (day, dataset, version, reference)
);
CREATE TABLE IF NOT EXISTS batches (
    digest TEXT NOT NULL, -- of images that were counted together
    dataset TEXT NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (digest, dataset, version)
) WITHOUT ROWID
"""
ADD_BATCH = "INSERT OR IGNORE INTO batches VALUES (?, ?, ?)"
ADD_DAY = """
INSERT INTO days (day, dataset, version, reference, counts) VALUES (?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET counts = excluded.counts
"""
ONE_DAY = "(day, dataset, version, reference) = (?, ?, ?, ?)"


class Read(NamedTuple):
    """By which version images were read, and the digest of the reference that they are compared with."""

    dataset: str
    version: int
    reference: Digest


class Day(NamedTuple):
    """The images that a version read on a day (of UTC), as counts in the bins of its reference."""

    day: date
    read: Read
    counts: Counts

    @property
    def images(self) -> int:
        return sum(self.counts[PREDICTED])


def add_to_today(home: Path, read: Read, counts: Counts, batch: Digest | None = None) -> Day | None:
    """Add images to those of today; returns the day. Several processes may add at once; a kill leaves all or nothing.

    Returns None, and adds nothing, if this version's images of that `batch` were added before, today or earlier.
    """
    day = _today()
    with _database(home) as database, database:
        database.execute("BEGIN IMMEDIATE")  # before it is read, so that no addition of others is lost
        if batch and not database.execute(ADD_BATCH, (batch, read.dataset, read.version)).rowcount:
            return None
        row = database.execute(f"SELECT counts FROM days WHERE {ONE_DAY}", (str(day), *read)).fetchone()  # noqa: S608
        after = add_counts(_counts(row[0]) if row else {}, counts)
        database.execute(ADD_DAY, (str(day), *read, json.dumps(after, separators=(",", ":"))))
    return Day(day, read, after)


def claim(home: Path, day: Day) -> bool:
    """Whether the caller is the first to ask, and so the one who announces the drift of that day."""
    with _database(home) as database, database:
        update = f"UPDATE days SET is_told = 1 WHERE is_told = 0 AND {ONE_DAY}"  # noqa: S608
        return database.execute(update, (str(day.day), *day.read)).rowcount == 1


def list_days(home: Path, since: date = date.min) -> list[Day]:
    """What was read from a day on, the latest first."""
    if not _path(home).exists():
        return []
    query = "SELECT day, dataset, version, reference, counts FROM days WHERE day >= ? ORDER BY 1 DESC, 2, 3 DESC"
    with _database(home) as database:
        rows = database.execute(query, (str(since),)).fetchall()
    return [Day(date.fromisoformat(day), Read(*read), _counts(counts)) for day, *read, counts in rows]


def _today() -> date:
    return datetime.now(UTC).date()


def _counts(text: str) -> Counts:
    return {name: tuple(counts) for name, counts in json.loads(text).items()}


def _path(home: Path) -> Path:
    return home / MONITORING / "days.db"


@contextlib.contextmanager
def _database(home: Path) -> Iterator[sqlite3.Connection]:
    path = _path(home)
    with disk_errors(home):
        path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with contextlib.closing(sqlite3.connect(path, timeout=60)) as database:
            database.executescript(SCHEMA)
            yield database
    except sqlite3.Error as error:
        raise DigitflowError(
            f"the counts of predicted images in {path} cannot be used: {error}; free some space, make it writable, or "
            "remove it: only what was counted is lost"
        ) from None
