"""A day drifted if its images differ from those that the model learned from by more than chance."""

from datetime import UTC, date, datetime

import numpy as np

from artifacts.storage.store import Store
from tasks.monitoring.compared_days import ComparedDay, compare_day, compare_days
from tasks.monitoring.drift import PREDICTED, Counts, Drift, Reference, measure
from tasks.monitoring.record import Day, Read, add_to_today
from tests.tasks.monitoring.conftest import Batch

READ = Read("digits", 3, "ab" * 32)


def day_of(counts: Counts) -> Day:
    return Day(datetime.now(UTC).date(), READ, counts)


def test_a_growing_day(base: Batch, reference: Reference) -> None:
    """Of 120 days that grow to 200 of the reference's own images, and are looked at after each ten, none has drift; at
    the threshold of one look, some would."""
    rng, measured, labels = np.random.default_rng(0), measure(base[0]), base[1]
    days, once = 0, 0
    for _ in range(120):
        draw = rng.integers(0, 1000, 200)
        looks = [draw[:size] for size in range(10, 201, 10)]
        counts = [reference.count(measured[look], labels[look], PREDICTED) for look in looks]
        days += any(compare_day(day_of(each), reference).is_drift for each in counts)
        once += any(one.is_drift for each in counts for one in reference.compare(each))
    assert days == 0 < once


def test_worst() -> None:
    """The worst statistic is the furthest above its own threshold, or, without drift, the nearest below it."""
    mean, slant, label = (
        Drift(statistic="mean", index=0.9, threshold=1.0),
        Drift(statistic="slant", index=0.3, threshold=0.25),
        Drift(statistic="label", index=0.2, threshold=0.25),
    )
    for drift, worst, is_drift in (((mean, slant, label), slant, True), ((label, mean), mean, False)):
        day = ComparedDay(day=date(2026, 11, 26), dataset="digits", version=3, images=20, drift=drift)
        assert (day.worst, day.is_drift) == (worst, is_drift)


def test_nothing_to_compare_with(store: Store, reference: Reference, new_digits: Batch) -> None:
    """A day whose reference is gone is listed with its images, and is not said to have drifted."""
    counts = reference.count(measure(new_digits[0]), new_digits[1], PREDICTED)
    add_to_today(store.home, READ, counts)
    (day,) = compare_days(store, date.min)
    assert (day.images, day.drift, day.worst, day.is_drift) == (300, (), None, False)
    store.write(f"monitoring/references/{READ.reference}.json", reference.model_dump_json().encode())
    (day,) = compare_days(store, date.min)
    assert len(day.drift) == 6 and not day.is_drift
