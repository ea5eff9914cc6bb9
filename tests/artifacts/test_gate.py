"""The gate lets through what reaches its threshold, and nothing else."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from artifacts.evaluation import Evaluation, measure
from artifacts.gate import Gate, Verdict, decide


def evaluation(correct: int, supports: tuple[int, ...]) -> Evaluation:
    """Of images with these classes, the first `correct` are recognised and the others taken for the next class."""
    labels = np.repeat(np.arange(len(supports)), supports).astype(np.uint8)
    guesses = np.where(np.arange(len(labels)) < correct, labels, (labels + np.intp(1)) % len(supports))
    return measure(np.eye(len(supports), dtype=np.float32)[guesses], labels)


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 40), st.floats(0, 1))
def test_passed_means_reached(correct: int, threshold: float) -> None:
    """A model passes if and only if its accuracy is at least the threshold, and the verdict survives JSON."""
    verdict = decide(evaluation(correct, (20, 20)), Gate(min_accuracy=threshold))
    assert verdict.passed == (correct / 40 >= threshold) == all(check.passed for check in verdict.checks)
    assert verdict.threshold == threshold
    assert Verdict.model_validate_json(verdict.model_dump_json()) == verdict


@pytest.mark.parametrize(("correct", "passed"), [(29, False), (30, True)])
def test_without_threshold_guessing_must_be_beaten(correct: int, passed: bool) -> None:
    """Without a threshold, a model must reach the share of the most frequent class."""
    verdict = decide(evaluation(correct, (10, 30)), Gate())
    assert (verdict.threshold, verdict.passed) == (0.75, passed)


def test_reason_names_both_numbers() -> None:
    """A rejection says which value is below which threshold; a pass says that every check was passed."""
    measured = evaluation(30, (20, 20))
    assert decide(measured, Gate(min_accuracy=0.9)).reason == "accuracy 0.7500 is below 0.9000"
    assert decide(measured, Gate(min_accuracy=0.75)).reason == "every check passed"


@pytest.mark.parametrize("fields", [{"min_accuracy": 1.01}, {"min_accuracy": -0.1}, {"min_acuracy": 0.9}])
def test_unusable_gates_are_refused(fields: dict[str, float]) -> None:
    """A threshold outside [0, 1] or a misspelt check is refused."""
    with pytest.raises(ValidationError, match="min_ac"):
        Gate(**fields)
