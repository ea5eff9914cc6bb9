"""A model passes the gate if and only if it keeps every limit that is set."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tasks.evaluation.checks import apply_gate
from tasks.evaluation.gate import OVERUSED, Baseline, Gate, SmokeTest, Verdict
from tasks.evaluation.metrics import measure

MEASURED = SmokeTest(weights_bytes=1000, latency_ms=2.0, throughput=500.0)


def model(correct: int, supports: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities and labels of images with these classes: the first `correct` predictions are right, the others are
    the next class."""
    labels = np.repeat(np.arange(len(supports)), supports).astype(np.uint8)
    predicted = np.where(np.arange(len(labels)) < correct, labels, (labels + np.intp(1)) % len(supports))
    return np.eye(len(supports), dtype=np.float32)[predicted], labels


def verdict(gate: Gate, correct: int, supports: tuple[int, ...], champion: int | None = None) -> Verdict:
    probabilities, labels = model(correct, supports)
    return apply_gate(
        gate,
        measure(probabilities, labels),
        probabilities,
        labels=labels,
        smoke_test=MEASURED,
        baseline=Baseline(absence="no champion yet") if champion is None else Baseline(version=7),
        baseline_probabilities=None if champion is None else model(champion, supports)[0],
    )


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 40), st.floats(0, 1))
def test_passed_means_reached(correct: int, threshold: float) -> None:
    """A model passes if and only if its accuracy is at least the threshold, and the verdict survives JSON."""
    result = verdict(Gate(min_accuracy=threshold), correct, (20, 20))
    assert result.passed == (correct / 40 >= threshold) == all(check.passed for check in result.checks)
    assert result.threshold == threshold
    assert Verdict.model_validate_json(result.model_dump_json()) == result


@pytest.mark.parametrize(("correct", "passed"), [(30, False), (31, True)])
def test_without_threshold_guessing_must_be_beaten(correct: int, passed: bool) -> None:
    """Without a threshold, a model must be better than a model that always predicts the most frequent class."""
    result = verdict(Gate(), correct, (10, 30))
    assert (result.threshold, result.passed) == (0.75, passed)


def test_classes_never_recognised_are_named() -> None:
    """Whatever the accuracy, the verdict's reason names the classes of which no test image is recognised."""
    result = verdict(Gate(min_accuracy=0.9), 97, (60, 37, 3))
    assert result.passed and "never recognised: class 2 (0 of 3 test images)" in result.reason
    assert "never" not in verdict(Gate(min_accuracy=0.9), 98, (60, 37, 3)).reason
    probabilities, labels = model(0, (1,) * 9)
    named = apply_gate(
        Gate(min_accuracy=0.5),
        measure(probabilities, labels),
        probabilities,
        labels=labels,
        smoke_test=MEASURED,
        baseline=Baseline(absence="no champion yet"),
        class_names=("cat", "dog"),
    )
    assert not named.passed
    assert "never recognised: class cat (0 of 1 test image), class dog (0 of 1 test image)" in named.reason
    assert named.reason.endswith("class 4 (0 of 1 test image) and 4 more")


def test_lower_bound() -> None:
    """If its lower Wilson bound must reach the threshold, a model needs enough images to prove its accuracy."""
    gate = Gate(min_accuracy=0.9, accuracy_bound="lower")
    assert not verdict(gate, 38, (20, 20)).passed
    assert verdict(gate, 3800, (2000, 2000)).passed


@pytest.mark.parametrize(
    ("limit", "too_strict"),
    [
        ({"min_recall": 0.5}, {"min_recall": 0.51}),
        ({"max_loss": 5.0}, {"max_loss": 1.0}),
        ({"max_calibration_error": 0.25}, {"max_calibration_error": 0.2}),
        ({"max_weights_bytes": 1000}, {"max_weights_bytes": 999}),
        ({"max_latency_ms": 2.0}, {"max_latency_ms": 1.9}),
        ({"min_throughput": 500.0}, {"min_throughput": 501.0}),
    ],
)
def test_each_limit(limit: dict[str, Any], too_strict: dict[str, Any]) -> None:
    """Each limit that is set is one more check, which passes at its value and fails beyond it."""
    assert verdict(Gate(min_accuracy=0.5, **limit), 30, (20, 20)).passed
    result = verdict(Gate(min_accuracy=0.5, **too_strict), 30, (20, 20))
    assert [check.passed for check in result.checks] == [True, False]


def held_against(gate: Gate, ours: np.ndarray, theirs: np.ndarray, labels: np.ndarray) -> Verdict:
    """The verdict on a model that reads the images as `ours`, beside a champion that reads them as `theirs`."""
    probabilities, champions = (np.eye(2, dtype=np.float32)[read] for read in (ours, theirs))
    return apply_gate(
        gate,
        measure(probabilities, labels),
        probabilities,
        labels=labels,
        smoke_test=MEASURED,
        baseline=Baseline(version=7),
        baseline_probabilities=champions,
    )


def test_a_limit_that_nothing_would_check() -> None:
    """A gate that limits what is lost against the champion, and asks not to compare, is refused."""
    with pytest.raises(ValidationError, match="max_recall_loss needs the champion"):
        Gate(max_recall_loss=0.1, against_champion="nothing")


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 100), st.data())
def test_a_loss_at_the_limit_passes(support: int, data: st.DataObject) -> None:
    """A loss of recall that is exactly the limit, as people write it, is kept: no rounding decides."""
    percent = data.draw(st.integers(0, 100))
    lost = data.draw(st.integers(0, support))
    labels = np.repeat(np.arange(2), 100).astype(np.uint8)[: 100 + support]
    ours = labels.copy()
    ours[100 : 100 + lost] = 0
    result = held_against(Gate(min_accuracy=0.0, max_recall_loss=percent / 100, margin=0.99), ours, labels, labels)
    check = next(check for check in result.checks if check.name.startswith("loss of recall"))
    assert check.passed == (100 * lost <= percent * support)


@pytest.mark.parametrize(("limit", "passed"), [(0.25, True), (0.24, False), (None, True)])
def test_worst_class_against_the_champion(limit: float | None, passed: bool) -> None:
    """A model that loses more recall of a class than the limit is rejected, although its accuracy is the champion's."""
    labels = np.repeat(np.arange(2), 20).astype(np.uint8)
    ours, theirs = labels.copy(), labels.copy()
    ours[:5], theirs[20:25] = 1, 0
    result = held_against(Gate(min_accuracy=0.5, max_recall_loss=limit, margin=0.3), ours, theirs, labels)
    assert result.passed == passed
    words = "loss of recall of class 0 against version 7, the greatest, is 25%"
    assert (words in result.reason) == (limit is not None)


@pytest.mark.parametrize(
    ("correct", "champion", "kind", "passed"),
    [
        (950, 950, "non-inferior", True),
        (950, 950, "superior", False),
        (955, 950, "superior", True),
        (954, 950, "superior", False),
        (930, 950, "non-inferior", False),
    ],
)
def test_champion(correct: int, champion: int, kind: str, passed: bool) -> None:
    """On the same images as the champion, the exact test at 5% decides superiority (5 gains of 5: p = 1/32), and a
    margin of half a point decides non-inferiority."""
    result = verdict(Gate(min_accuracy=0.5, against_champion=kind), correct, (500, 500), champion)
    assert result.passed == passed and result.comparison == "Held against the champion, version 7"


def test_reason_names_both_numbers() -> None:
    """The reason names the value and the threshold of each check that decided."""
    assert verdict(Gate(min_accuracy=0.9), 30, (20, 20)).reason == "accuracy is 75%, not at least 90%"
    assert verdict(Gate(min_accuracy=0.75), 30, (20, 20)).reason == "accuracy is 75%, at least 75%; no champion yet"


@pytest.mark.parametrize(("before", "warned"), [(OVERUSED - 2, False), (OVERUSED - 1, True)])
def test_overused_test_set_is_warned_of(before: int, warned: bool) -> None:
    """From the use on at which a false promotion is to be expected, the verdict warns of an overused test set."""
    result = verdict(Gate(min_accuracy=0.5), 30, (20, 20))
    overused = result.model_copy(update={"baseline": Baseline(absence="no champion yet", test_set_uses=before)})
    assert bool(overused.warnings) == warned and (not warned or f"judged {OVERUSED} models" in overused.warnings[0])


@pytest.mark.parametrize("fields", [{"min_accuracy": 1.01}, {"min_accuracy": -0.1}, {"min_acuracy": 0.9}])
def test_unusable_gates_are_refused(fields: dict[str, float]) -> None:
    """A threshold outside [0, 1] or a misspelt check is refused."""
    with pytest.raises(ValidationError, match="min_ac"):
        Gate(**fields)


def test_json_keeps_its_keys() -> None:
    """Verdicts of the first version are read, and new ones have their keys, by which other programs read them."""
    check = {"name": "accuracy", "value": 0.9, "threshold": 0.8, "passed": True, "asked": "at least"}
    check |= {"estimate": 0.9, "interval": [0.8, 0.95], "limit": 0.8}
    old = {
        "passed": True,
        "threshold": 0.8,
        "checks": [check],
        "opponent": {"version": 3, "weights": None, "hyperparameters": None, "absence": "", "decisions": 4},
    }
    verdict = Verdict.model_validate(old)
    assert (verdict.baseline.version, verdict.baseline.test_set_uses) == (3, 4)
    assert verdict.model_dump(mode="json") == old | {
        "checks": [check | {"quantity": "estimate", "clause": ""}],
        "never_recognised": [],
    }


def test_checks_name_their_quantity() -> None:
    """A check with an interval says whether it is of the accuracy or of the difference to the champion."""
    checks = verdict(Gate(min_accuracy=0.5, max_loss=9.0), 450, (250, 250), 450).checks
    assert [check.quantity for check in checks] == ["accuracy", "estimate", "difference to the champion"]
    assert [check.interval is None for check in checks] == [False, True, False]
