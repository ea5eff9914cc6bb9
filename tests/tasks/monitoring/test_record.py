"""What was read is counted by day, by several processes at once, and nothing is lost or counted twice."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from artifacts.errors import DigitflowError
from tasks.monitoring.drift import PREDICTED, Counts
from tasks.monitoring.record import Read, add_to_today, claim, list_days

READ = Read("digits", 3, "ab" * 32)
COUNTS: Counts = {"mean": (1, 0), PREDICTED: (0, 1)}


def test_days_add_up(home: Path) -> None:
    """What one version read on a day is one sum; another version, data set or reference has its own."""
    assert list_days(home) == [] and not home.exists()
    for read in (READ, READ._replace(version=4), READ._replace(dataset="letters"), READ):
        add_to_today(home, read, COUNTS)
    last = add_to_today(home, READ, {"mean": (0, 5), PREDICTED: (2, 0, 3)})
    today = datetime.now(UTC).date()
    assert last == (today, READ, {"mean": (2, 5), PREDICTED: (2, 2, 3)}) and last.images == 7
    assert [(day.read.dataset, day.read.version, day.images) for day in list_days(home)] == [
        *(("digits", 4, 1), ("digits", 3, 7), ("letters", 3, 1))
    ]
    assert list_days(home, today + timedelta(days=1)) == [] and list_days(home, date.min)[1] == last


def test_batch_is_counted_once(home: Path) -> None:
    """A batch is counted once for each version, however often it is read."""
    assert add_to_today(home, READ, COUNTS, "cd" * 32) is not None
    assert add_to_today(home, READ, COUNTS, "cd" * 32) is None
    assert add_to_today(home, READ._replace(version=4), COUNTS, "cd" * 32) is not None
    assert [day.images for day in list_days(home)] == [1, 1]


def test_first_claims(home: Path) -> None:
    """Of all who ask, the first announces a day's drift; more images do not change that."""
    day = add_to_today(home, READ, COUNTS)
    other = add_to_today(home, READ._replace(version=4), COUNTS)
    assert day and other
    assert [claim(home, day), claim(home, day)] == [True, False]
    add_to_today(home, READ, COUNTS)
    assert [claim(home, day), claim(home, other)] == [False, True]


def add_many(home: Path) -> None:
    for _ in range(50):
        add_to_today(home, READ, COUNTS)


def test_processes_add_at_once(home: Path) -> None:
    """Of what several processes add at the same time to a new database, nothing is lost."""
    with ProcessPoolExecutor(3, multiprocessing.get_context("spawn")) as pool:
        list(pool.map(add_many, [home] * 3))
    assert [day.images for day in list_days(home)] == [150]


def test_damaged_database(home: Path) -> None:
    """A damaged database is one error that names the file and says what to do."""
    (home / "monitoring").mkdir(parents=True)
    (home / "monitoring" / "days.db").write_bytes(b"damaged" * 1000)
    with pytest.raises(DigitflowError, match=r"days\.db cannot be used.*remove it"):
        add_to_today(home, READ, COUNTS)
