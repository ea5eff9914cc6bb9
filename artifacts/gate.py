"""The checks that a model passes before its weights are saved for use."""

from pydantic import BaseModel, ConfigDict, Field

from artifacts.evaluation import Evaluation


class Gate(BaseModel):
    """What a model must reach."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_accuracy: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Least top-1 accuracy on the test images; unset: the recipe's own on a known data set, "
        "else the share of the most frequent class",
    )


class Check(BaseModel):
    """One measured value against one threshold."""

    model_config = ConfigDict(frozen=True)

    name: str
    value: float
    threshold: float
    interval: tuple[float, float] | None = None
    passed: bool


class Verdict(BaseModel):
    """All checks, and whether every one was passed."""

    model_config = ConfigDict(frozen=True)

    passed: bool
    threshold: float
    checks: tuple[Check, ...]

    @property
    def reason(self) -> str:
        """Why the model was rejected, or that it was not, in one line."""
        failed = [f"{c.name} {c.value:.6g} is below {c.threshold:.6g}" for c in self.checks if not c.passed]
        return "; ".join(failed) or "every check passed"


def decide(evaluation: Evaluation, gate: Gate) -> Verdict:
    """Hold an evaluation against the gate. Without a threshold, a model must beat always guessing one class."""
    chance = max(c.support for c in evaluation.per_class) / evaluation.count
    threshold = chance if gate.min_accuracy is None else gate.min_accuracy
    accuracy = Check(
        name="accuracy",
        value=evaluation.accuracy,
        threshold=threshold,
        interval=evaluation.interval,
        passed=evaluation.accuracy >= threshold,
    )
    return Verdict(passed=accuracy.passed, threshold=threshold, checks=(accuracy,))
