"""What models read is counted off their path, and drift is told once a day and version."""

import logging
import shutil
from datetime import UTC, datetime

import numpy as np
import pytest

from artifacts.storage.home import OBJECTS
from artifacts.storage.settings import Settings
from tasks.monitoring.compared_days import ComparedDay
from tasks.monitoring.drift import PREDICTED, STATISTICS, measure
from tasks.monitoring.record import list_days
from tasks.monitoring.watch import Watch
from tasks.registry.versions import Version
from tests.tasks.monitoring.conftest import Batch

Told = list[ComparedDay]


@pytest.fixture
def told() -> Told:
    return []


@pytest.fixture
def watch(told: Told) -> Watch:
    return Watch(Settings.load(), told.append)


def see(watch: Watch, version: Version, images: np.ndarray, labels: np.ndarray) -> None:
    for image, label in zip(images, labels.tolist(), strict=True):
        watch.see(version, image, label)


def images_of(watch: Watch, version: Version) -> int:
    today = watch.today(version)
    return today.images if today else 0


def test_images_of_the_same_kind(watch: Watch, told: Told, version: Version, new_digits: Batch) -> None:
    """Images of the same kind are counted once, when asked to, and nothing is told."""
    see(watch, version, *new_digits)
    assert watch.today(version) is None
    for _ in range(2):
        watch.count()
        today = watch.today(version)
        assert today and today.images == 300 and [one.statistic for one in today.drift] == [*STATISTICS, PREDICTED]
        assert not today.is_drift and told == []


def test_drift_is_told_once(watch: Watch, told: Told, version: Version, new_digits: Batch) -> None:
    """Turned images are told once a day and version, with the statistic, its index and its threshold."""
    images, labels = new_digits
    for part in (slice(0, 250), slice(250, 300)):
        see(watch, version, images[part, ::-1], labels[part])
        watch.count()
    (day,) = told
    assert (day.day, day.dataset, day.version, day.images) == (datetime.now(UTC).date(), "digits", 3, 250)
    assert day.worst and day.worst.statistic == "slant" and day.worst.index > day.worst.threshold == 0.25
    again = Watch(Settings.load(), told.append)
    see(again, version, images[:, ::-1], labels)
    again.count()
    assert len(told) == 1 and images_of(again, version) == 600


def test_batches(watch: Watch, told: Told, version: Version, new_digits: Batch) -> None:
    """A batch is told of like images that come one by one, and counted once; an empty one leaves nothing."""
    measured, classes = measure(new_digits[0][:, ::-1]), new_digits[1]
    watch.add(version, measured[:0], classes[:0], "00" * 32)
    assert list_days(Settings.load().home) == []
    for _ in range(2):
        watch.add(version, measured, classes, "cd" * 32)
    assert images_of(watch, version) == 300 and len(told) == 1


@pytest.mark.parametrize("harm", ["no images", "damaged counts"])
def test_trouble_is_no_error(
    harm: str, watch: Watch, told: Told, version: Version, new_digits: Batch, caplog: pytest.LogCaptureFixture
) -> None:
    """A prediction does not fail because its images cannot be compared or counted: one line says why."""
    home = Settings.load().home
    if harm == "no images":
        shutil.rmtree(home / OBJECTS)
    else:
        (home / "monitoring").mkdir()
        (home / "monitoring" / "days.db").write_bytes(b"damaged" * 1000)
    see(watch, version, *new_digits)
    with caplog.at_level(logging.WARNING, "tasks"):
        watch.count()
        watch.count()
    assert len(caplog.records) == 1 and "predicted images " in caplog.text and told == []


def test_no_more_than_fit(watch: Watch, version: Version, new_digits: Batch) -> None:
    """Of more images than are kept waiting, the last are counted."""
    see(watch, version, np.tile(new_digits[0], (4, 1, 1)), np.tile(new_digits[1], 4))
    watch.count()
    assert images_of(watch, version) == 1024
