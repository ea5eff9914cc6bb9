"""The metrics agree with scikit-learn and with their formulas."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, confusion_matrix, log_loss

from tasks.evaluation.metrics import Evaluation, measure, wilson


@st.composite
def predictions(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of 2 to 12 classes for 1 to 60 images, and labels, of which some classes may be missing."""
    classes, count = draw(st.integers(2, 12)), draw(st.integers(1, 60))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    labels = rng.integers(0, draw(st.integers(1, classes)), count).astype(np.uint8)
    return rng.dirichlet(np.ones(classes), count).astype(np.float32), labels


@settings(deadline=None)
@given(predictions())
def test_measures_agree_with_scikit_learn(case: tuple[np.ndarray, np.ndarray]) -> None:
    """Accuracy, loss and confusion are scikit-learn's, also where classes are missing; the metrics survive JSON."""
    probabilities, labels = case
    classes, guesses = range(probabilities.shape[1]), probabilities.argmax(axis=1)
    evaluation = measure(probabilities, labels)
    assert evaluation.accuracy == pytest.approx(accuracy_score(labels, guesses))
    clipped = np.clip(probabilities.astype(float), 1e-7, 1)
    clipped /= clipped.sum(axis=1, keepdims=True)
    assert evaluation.loss == pytest.approx(log_loss(labels, clipped, labels=classes), rel=1e-4, abs=1e-6)
    assert np.array_equal(evaluation.confusion, confusion_matrix(labels, guesses, labels=classes))
    assert evaluation.predictions == tuple(guesses[:5])
    assert Evaluation.model_validate_json(evaluation.model_dump_json()) == evaluation


@settings(deadline=None)
@given(predictions())
def test_class_metrics_follow_from_the_confusion(case: tuple[np.ndarray, np.ndarray]) -> None:
    """Recall is the share of a class's row, precision of its column, F1 their harmonic mean, and 0 if undefined."""
    evaluation = measure(*case)
    confusion = np.array(evaluation.confusion)
    for metrics, hits, row, column in zip(
        evaluation.per_class, confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0), strict=True
    ):
        recall, precision, f1 = hits / max(row, 1), hits / max(column, 1), 2 * hits / max(row + column, 1)
        assert (metrics.recall, metrics.precision, metrics.f1) == pytest.approx((recall, precision, f1))
        assert metrics.support == row


def test_certain_mistakes_cost_a_finite_loss() -> None:
    """A true class with probability 0 costs -ln(1e-7), as in Keras, not infinity."""
    probabilities = np.array([[0, 1], [1, 0]], np.float32)
    assert measure(probabilities, np.array([0, 0], np.uint8)).loss == pytest.approx(-math.log(1e-7) / 2)


@given(st.data(), st.integers(1, 100_000))
def test_wilson_is_the_closed_formula(data: st.DataObject, count: int) -> None:
    """The interval solves Wilson's quadratic |p - x| = z sqrt(x(1-x)/n), contains p, and stays within [0, 1]."""
    correct = data.draw(st.integers(0, count))
    low, high = wilson(correct, count)
    p, z = correct / count, 1.959963984540054
    middle, half = p + z**2 / (2 * count), z * math.sqrt(p * (1 - p) / count + z**2 / (4 * count**2))
    expected = [(middle + side) / (1 + z**2 / count) for side in (-half, half)]
    assert [low, high] == pytest.approx(expected, abs=1e-9)
    assert 0 <= low <= p <= high <= 1


@given(st.integers(1, 100_000))
def test_wilson_at_the_ends(count: int) -> None:
    """With no error or no success the interval ends there, and the other end is z²/(n+z²) away."""
    z2 = 1.959963984540054**2
    assert wilson(0, count) == pytest.approx((0, z2 / (count + z2)), abs=1e-9)
    assert wilson(count, count) == pytest.approx((count / (count + z2), 1), abs=1e-9)
