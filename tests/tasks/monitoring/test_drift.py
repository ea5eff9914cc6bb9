"""Drift is found where a population shifted, and not by chance."""

import numpy as np
import pytest

from tasks.monitoring.drift import (
    CHANCE,
    LABEL,
    PREDICTED,
    STATISTICS,
    THRESHOLD,
    Reference,
    add_counts,
    measure,
    measure_drift,
    stability_index,
)
from tests.tasks.monitoring.conftest import Batch


def test_drift(base: Batch, new_digits: Batch) -> None:
    """Images of the same kind do not drift; thinner ink, a slant or other labels do."""
    images, labels = new_digits
    assert not any(drift.is_drift for drift in measure_drift(base, new_digits))
    changed = {
        "mean": (images // 3, labels),
        "slant": (images[:, ::-1, :], labels),
        "label": (images[labels < 3], labels[labels < 3]),
    }
    for statistic, batch in changed.items():
        assert statistic in {drift.statistic for drift in measure_drift(base, batch) if drift.is_drift}


def test_bins_are_those_of_a_histogram(reference: Reference, new_digits: Batch) -> None:
    """The counts are those of numpy's histogram between the same edges, and a reference survives JSON."""
    again, measured = Reference.model_validate_json(reference.model_dump_json()), measure(new_digits[0])
    assert again == reference
    for i, name in enumerate(STATISTICS):
        edges = [-np.inf, *reference.edges[name], np.inf]
        expected = np.histogram(measured[:, i], np.array(edges))[0].tolist()
        assert list(again.count(measured, new_digits[1])[name]) == expected
    assert all(min(counts) >= 80 for name, counts in reference.counts.items() if name != "coverage")


def test_parts_add_up(reference: Reference, new_digits: Batch) -> None:
    """Images counted in parts, of which one lacks the last labels, have the counts of all together."""
    images, labels = new_digits
    order = np.argsort(labels)
    measured, classes = measure(images[order]), labels[order]
    parts = [reference.count(measured[part], classes[part]) for part in (slice(0, 90), slice(90, None))]
    assert len(parts[0][LABEL]) < len(parts[1][LABEL])
    whole = reference.count(measured, classes)
    assert add_counts({}, whole) == add_counts(*parts) == add_counts(*reversed(parts)) == whole


def test_predicted_classes_are_compared_with_the_labels(reference: Reference, new_digits: Batch) -> None:
    """Classes that a model read are named as such, and compared with the labels of the reference."""
    measured, classes = measure(new_digits[0]), np.full(300, 3, np.uint8)
    drift = {one.statistic: one for one in reference.compare(reference.count(measured, classes, PREDICTED))}
    assert LABEL not in drift and drift[PREDICTED].is_drift and not drift["slant"].is_drift


def test_index_by_hand() -> None:
    """The index of two bins is that of its formula, with half an item in each bin."""
    p, q = np.array([10.5, 30.5]) / 41, np.array([20.5, 0.5]) / 21
    index = stability_index(np.array([10, 30]), np.array([20, 0]))
    assert index == pytest.approx((q[0] - p[0]) * np.log(q[0] / p[0]) + (q[1] - p[1]) * np.log(q[1] / p[1]))


@pytest.mark.parametrize("size", [20, 100, 300])
def test_chance(size: int, base: Batch, reference: Reference) -> None:
    """Of random draws of the reference's own images, at most two in a thousand exceed the threshold of a statistic, and
    those of a few hundred have the plain threshold."""
    rng, measured, labels = np.random.default_rng(size), measure(base[0]), base[1]
    draws = (rng.integers(0, 1000, size) for _ in range(3000))
    found = [reference.compare(reference.count(measured[draw], labels[draw])) for draw in draws]
    exceeding = np.mean([[one.is_drift for one in drift] for drift in found], axis=0)
    assert max(exceeding) <= 2 * CHANCE
    assert {one.threshold == THRESHOLD for drift in found for one in drift} == {size == 300}


def test_few_hundred_show_a_shift(base: Batch, reference: Reference) -> None:
    """Any 300 digits whose ink is a fifth lighter drifted, at a threshold that one in a million exceeds by chance."""
    rng, lighter = np.random.default_rng(0), measure((base[0] * 0.8).astype(np.uint8))
    for _ in range(200):
        draw = rng.integers(0, 1000, 300)
        assert any(one.is_drift for one in reference.compare(reference.count(lighter[draw], base[1][draw]), 1e-6))
