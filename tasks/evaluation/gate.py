"""The checks that a model passes before it is used: on its own, against an earlier one, and in operation."""

from collections.abc import Iterator, Sequence
from typing import Literal

from pydantic import BaseModel, Field

from artifacts.storage.arrays import Labels, Probabilities
from artifacts.storage.store import Ref
from tasks.evaluation.metrics import Evaluation, calibration_error
from tasks.evaluation.paired_tests import difference_interval, discordant, non_inferiority, superiority
from tasks.model.hyperparameters import Hyperparameters


class Baseline(BaseModel, frozen=True):
    """What a candidate is held against: the champion, or `absence` says why nothing.

    `decisions` counts the candidates that the same test images have judged before.
    """

    version: int | None = None
    weights: Ref | None = None
    hyperparameters: Hyperparameters | None = None
    absence: str = ""
    decisions: int = 0


OVERUSED = 20
"""Decisions by one set of test images from which on a false promotion is to be expected at a level of 5 %."""


class Gate(BaseModel, frozen=True, extra="forbid"):
    """What a model must reach. An unset limit is not checked."""

    min_accuracy: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Least top-1 accuracy on the test images; unset: the recipe's own on a known data set, "
        "else more than the share of the most frequent class",
    )
    accuracy_bound: Literal["estimate", "lower"] = Field(
        "estimate", description="Hold the accuracy itself, or the lower end of its 95 % Wilson interval, against it"
    )
    min_recall: float | None = Field(None, ge=0, le=1, description="Least recall of any class")
    max_loss: float | None = Field(None, gt=0, description="Greatest mean cross-entropy, in nats")
    max_calibration_error: float | None = Field(None, ge=0, le=1, description="Greatest expected calibration error")
    against_champion: Literal["non-inferior", "superior", "nothing"] = Field(
        "non-inferior", description="What to show against the champion, on the same images"
    )
    margin: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="Loss of accuracy that non-inferiority tolerates; unset: half a point, or 20 test "
        "images if that is more, since fewer images cannot show less",
    )
    significance: float = Field(0.05, gt=0, lt=0.5, description="Level of the one-sided test against it")
    max_weights_bytes: int | None = Field(None, gt=0, description="Greatest size of the weights file")
    max_latency_ms: float | None = Field(None, gt=0, description="Greatest median latency of one image, in ms")
    min_throughput: float | None = Field(None, gt=0, description="Least images per second in batches")


class SmokeTest(BaseModel, frozen=True):
    """How the saved weights do in a fresh process: what `tasks.save` measured."""

    weights_bytes: int
    latency_ms: float
    throughput: float


class Check(BaseModel, frozen=True):
    """One measured value against one threshold, and what was asked of it in words."""

    name: str
    value: float
    threshold: float
    passed: bool
    asked: str
    estimate: float | None = None
    """What the 95 % interval is about: a share, or a difference of shares."""
    interval: tuple[float, float] | None = None
    limit: float | None = None
    """Where the estimate should be above."""


class Verdict(BaseModel, frozen=True):
    """All checks, and whether every one was passed. `threshold` is the accuracy that was asked."""

    passed: bool
    threshold: float
    checks: tuple[Check, ...]
    opponent: Baseline

    @property
    def stance(self) -> str:
        """What the model was held against, in words."""
        return self.opponent.absence.capitalize() or f"Held against the champion, version {self.opponent.version}"

    @property
    def warnings(self) -> list[str]:
        """That the test images have decided so often that luck may pass a model (Bonferroni: at most n times alpha)."""
        times = self.opponent.decisions + 1
        if times < OVERUSED:
            return []
        return [f"these test images have now judged {times} models, so one may pass by luck; use new ones"]

    @property
    def reason(self) -> str:
        """Why the model was rejected, or why not, in one line."""
        failed = [f"{c.name} is {c.value:.6g}, not {c.asked} {c.threshold:.6g}" for c in self.checks if not c.passed]
        passed = [f"{c.name} is {c.value:.6g}, {c.asked} {c.threshold:.6g}" for c in self.checks]
        return "; ".join(failed or [*passed, *filter(None, [self.opponent.absence])])


def decide(
    gate: Gate,
    evaluation: Evaluation,
    probabilities: Probabilities,
    labels: Labels,
    rehearsal: SmokeTest,
    opponent: Baseline,
    theirs: Probabilities | None = None,
    fresh: Sequence[int] | None = None,
) -> Verdict:
    """Hold a model against the gate: its evaluation, its rehearsal, and its predictions beside `theirs`, those of the
    opponent on the same images. Without a threshold, it must be better than always guessing one class.

    `fresh` counts, of held-out new images, those that only the model got right, those that only the opponent, and all.
    """
    accuracy = _accuracy(gate, evaluation)
    checks = [accuracy, *_absolute(gate, evaluation, probabilities, labels)]
    if theirs is not None:
        checks.append(_against(gate, f"version {opponent.version}", *discordant(probabilities, theirs, labels)))
    if fresh is not None:
        checks.append(_on_new_images(gate, f"version {opponent.version}", *fresh))
    checks += _operational(gate, rehearsal)
    return Verdict(
        passed=all(check.passed for check in checks),
        threshold=accuracy.threshold,
        checks=tuple(checks),
        opponent=opponent,
    )


def _accuracy(gate: Gate, evaluation: Evaluation) -> Check:
    value = evaluation.accuracy if gate.accuracy_bound == "estimate" else evaluation.interval[0]
    name = "accuracy" if gate.accuracy_bound == "estimate" else "accuracy (lower bound)"
    if gate.min_accuracy is not None:
        check = _at_least(name, value, gate.min_accuracy)
    else:
        chance = max(c.support for c in evaluation.per_class) / evaluation.count
        check = Check(name=name, value=value, threshold=chance, passed=value > chance, asked="above")
    return check.model_copy(
        update={"estimate": evaluation.accuracy, "interval": evaluation.interval, "limit": check.threshold}
    )


def _absolute(gate: Gate, evaluation: Evaluation, guesses: Probabilities, labels: Labels) -> Iterator[Check]:
    if gate.min_recall is not None:
        worst = min((c for c in evaluation.per_class if c.support), key=lambda c: c.recall)
        yield _at_least(f"recall of class {worst.label}, the worst", worst.recall, gate.min_recall)
    if gate.max_loss is not None:
        yield _at_most("loss", evaluation.loss, gate.max_loss)
    if gate.max_calibration_error is not None:
        yield _at_most("calibration error", calibration_error(guesses, labels), gate.max_calibration_error)


def _against(gate: Gate, champion: str, gained: int, lost: int, count: int) -> Check:
    if gate.against_champion == "superior":
        p, limit, what = superiority(gained, lost), 0.0, "no better"
    else:
        margin = gate.margin or max(0.005, min(20 / count, 0.5))
        p, limit, what = non_inferiority(gained, lost, count, margin), -margin, f"worse by {100 * margin:.3g} points"
    check = _at_most(f"p-value of being {what} than {champion}", p, gate.significance)
    return _of_difference(check, limit, gained, lost, count)


def _on_new_images(gate: Gate, champion: str, gained: int, lost: int, count: int) -> Check:
    """Batches are small, so what can be asked is that the model is not shown to be worse."""
    name = f"p-value of being no worse than {champion} on new images"
    return _of_difference(_at_least(name, superiority(lost, gained), gate.significance), 0.0, gained, lost, count)


def _of_difference(check: Check, limit: float, gained: int, lost: int, count: int) -> Check:
    return check.model_copy(
        update={
            "name": f"{check.name} ({gained} gained, {lost} lost of {count})",
            "estimate": (gained - lost) / count,
            "interval": difference_interval(gained, lost, count),
            "limit": limit,
        }
    )


def _operational(gate: Gate, rehearsal: SmokeTest) -> Iterator[Check]:
    if gate.max_weights_bytes is not None:
        yield _at_most("bytes of weights", float(rehearsal.weights_bytes), float(gate.max_weights_bytes))
    if gate.max_latency_ms is not None:
        yield _at_most("latency of one image, ms", rehearsal.latency_ms, gate.max_latency_ms)
    if gate.min_throughput is not None:
        yield _at_least("images per second", rehearsal.throughput, gate.min_throughput)


def _at_least(name: str, value: float, threshold: float) -> Check:
    return Check(name=name, value=value, threshold=threshold, passed=value >= threshold, asked="at least")


def _at_most(name: str, value: float, threshold: float) -> Check:
    return Check(name=name, value=value, threshold=threshold, passed=value <= threshold, asked="at most")
