"""The gate lets through what reaches every limit that is set, and nothing else."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tasks.evaluation.gate import OVERUSED, Baseline, Gate, SmokeTest, Verdict, decide
from tasks.evaluation.metrics import measure

REHEARSAL = SmokeTest(weights_bytes=1000, latency_ms=2.0, throughput=500.0)


def model(correct: int, supports: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities and labels: of images with these classes, the first `correct` are recognised, the others taken for
    the next class."""
    labels = np.repeat(np.arange(len(supports)), supports).astype(np.uint8)
    guesses = np.where(np.arange(len(labels)) < correct, labels, (labels + np.intp(1)) % len(supports))
    return np.eye(len(supports), dtype=np.float32)[guesses], labels


def verdict(gate: Gate, correct: int, supports: tuple[int, ...], champion: int | None = None) -> Verdict:
    guesses, labels = model(correct, supports)
    opponent = Baseline(absence="no champion yet") if champion is None else Baseline(version=7)
    theirs = None if champion is None else model(champion, supports)[0]
    return decide(gate, measure(guesses, labels), guesses, labels, REHEARSAL, opponent, theirs)


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 40), st.floats(0, 1))
def test_passed_means_reached(correct: int, threshold: float) -> None:
    """A model passes if and only if its accuracy is at least the threshold, and the verdict survives JSON."""
    told = verdict(Gate(min_accuracy=threshold), correct, (20, 20))
    assert told.passed == (correct / 40 >= threshold) == all(check.passed for check in told.checks)
    assert told.threshold == threshold
    assert Verdict.model_validate_json(told.model_dump_json()) == told


@pytest.mark.parametrize(("correct", "passed"), [(30, False), (31, True)])
def test_without_threshold_guessing_must_be_beaten(correct: int, passed: bool) -> None:
    """Without a threshold, a model must do better than always guessing the most frequent class."""
    told = verdict(Gate(), correct, (10, 30))
    assert (told.threshold, told.passed) == (0.75, passed)


def test_lower_bound() -> None:
    """Held against its lower Wilson bound, a model needs images enough to prove its accuracy."""
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
    told = verdict(Gate(min_accuracy=0.5, **too_strict), 30, (20, 20))
    assert [check.passed for check in told.checks] == [True, False]


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
    """On the same images as the champion, the exact test at 5 % decides superiority (5 gains of 5: p = 1/32), and the
    margin of half a point non-inferiority."""
    told = verdict(Gate(min_accuracy=0.5, against_champion=kind), correct, (500, 500), champion)
    assert told.passed == passed and told.stance == "Held against the champion, version 7"


def test_reason_names_both_numbers() -> None:
    """A rejection says which value is not what was asked; a pass, which are."""
    assert verdict(Gate(min_accuracy=0.9), 30, (20, 20)).reason == "accuracy is 0.75, not at least 0.9"
    assert verdict(Gate(min_accuracy=0.75), 30, (20, 20)).reason == "accuracy is 0.75, at least 0.75; no champion yet"


@pytest.mark.parametrize(("before", "warned"), [(OVERUSED - 2, False), (OVERUSED - 1, True)])
def test_worn_test_images_are_warned_of(before: int, warned: bool) -> None:
    """From the decision on with which a false promotion is to be expected, the verdict warns of re-use."""
    told = verdict(Gate(min_accuracy=0.5), 30, (20, 20))
    worn = told.model_copy(update={"opponent": Baseline(absence="no champion yet", decisions=before)})
    assert bool(worn.warnings) == warned and (not warned or f"judged {OVERUSED} models" in worn.warnings[0])


@pytest.mark.parametrize("fields", [{"min_accuracy": 1.01}, {"min_accuracy": -0.1}, {"min_acuracy": 0.9}])
def test_unusable_gates_are_refused(fields: dict[str, float]) -> None:
    """A threshold outside [0, 1] or a misspelt check is refused."""
    with pytest.raises(ValidationError, match="min_ac"):
        Gate(**fields)
