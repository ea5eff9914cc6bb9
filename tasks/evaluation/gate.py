"""The gate: limits on the model itself, on its comparison with a baseline, and on its size and speed."""

from collections.abc import Iterator
from typing import Literal

from pydantic import BaseModel, Field

from artifacts.storage.arrays import Labels, Probabilities
from artifacts.storage.store import Ref
from tasks.evaluation.metrics import Evaluation, calibration_error
from tasks.evaluation.paired_tests import PairedCounts, difference_interval, discordant, non_inferiority, superiority
from tasks.model.hyperparameters import Hyperparameters


class Baseline(BaseModel, frozen=True, populate_by_name=True, serialize_by_alias=True):
    """The model that a candidate is compared with: the champion. Without one, `absence` says why.

    `test_set_uses` counts the candidates that were judged on the same test images before.
    """

    version: int | None = None
    weights: Ref | None = None
    hyperparameters: Hyperparameters | None = None
    absence: str = ""
    test_set_uses: int = Field(0, alias="decisions")  # the name in verdicts, manifests and tags


OVERUSED = 20
"""Uses of one test set from which on a false promotion is to be expected, at a significance level of 5 %."""


class Gate(BaseModel, frozen=True, extra="forbid"):
    """The limits that a model must keep. An unset limit is not checked."""

    min_accuracy: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Least top-1 accuracy on the test images; unset: the recipe's own on a known data set, "
        "otherwise more than the share of the most frequent class",
    )
    accuracy_bound: Literal["estimate", "lower"] = Field(
        "estimate", description="Which value must reach it: the accuracy, or the lower end of its 95 % Wilson interval"
    )
    min_recall: float | None = Field(None, ge=0, le=1, description="Least recall of any class")
    max_loss: float | None = Field(None, gt=0, description="Greatest mean cross-entropy, in nats")
    max_calibration_error: float | None = Field(None, ge=0, le=1, description="Greatest expected calibration error")
    against_champion: Literal["non-inferior", "superior", "nothing"] = Field(
        "non-inferior", description="What the model must show against the champion, on the same images"
    )
    margin: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="Loss of accuracy that non-inferiority tolerates; unset: half a point, or 20 test "
        "images if that is more, since a small test set cannot show less",
    )
    significance: float = Field(0.05, gt=0, lt=0.5, description="Level of the one-sided test against the champion")
    max_weights_bytes: int | None = Field(None, gt=0, description="Greatest size of the weights file")
    max_latency_ms: float | None = Field(None, gt=0, description="Greatest median latency of one image, in ms")
    min_throughput: float | None = Field(None, gt=0, description="Least images per second in batches")


class SmokeTest(BaseModel, frozen=True):
    """Measurements in a new process: size of the weights file, median latency of one image, images per second."""

    weights_bytes: int
    latency_ms: float
    throughput: float


class Check(BaseModel, frozen=True):
    """One measured value and its threshold. `asked` is the relation in words, such as "at least"."""

    name: str
    value: float
    threshold: float
    passed: bool
    asked: str
    quantity: str = "estimate"
    """What `estimate` measures: "accuracy" or "difference to the champion". Earlier verdicts do not say."""
    estimate: float | None = None
    """A share, or a difference of shares."""
    interval: tuple[float, float] | None = None
    """The 95 % interval of the estimate."""
    limit: float | None = None
    """The value above which the estimate should be."""


class Verdict(BaseModel, frozen=True, populate_by_name=True, serialize_by_alias=True):
    """All checks, and whether the model passed every one. `threshold` is the least accuracy."""

    passed: bool
    threshold: float
    checks: tuple[Check, ...]
    baseline: Baseline = Field(alias="opponent")  # the name in verdicts

    @property
    def comparison(self) -> str:
        """What the model was compared with, in words."""
        return self.baseline.absence.capitalize() or f"Held against the champion, version {self.baseline.version}"

    @property
    def warnings(self) -> list[str]:
        """A warning if the test set was used so often that a model may pass by luck (Bonferroni: n times alpha)."""
        times = self.baseline.test_set_uses + 1
        if times < OVERUSED:
            return []
        return [f"these test images have now judged {times} models, so one may pass by luck; use new ones"]

    @property
    def reason(self) -> str:
        """Why the model passed or was rejected, in one line."""
        failed = [f"{c.name} is {c.value:.6g}, not {c.asked} {c.threshold:.6g}" for c in self.checks if not c.passed]
        passed = [f"{c.name} is {c.value:.6g}, {c.asked} {c.threshold:.6g}" for c in self.checks]
        return "; ".join(failed or [*passed, *filter(None, [self.baseline.absence])])


def apply_gate(
    gate: Gate,
    evaluation: Evaluation,
    probabilities: Probabilities,
    *,
    labels: Labels,
    smoke_test: SmokeTest,
    baseline: Baseline,
    baseline_probabilities: Probabilities | None = None,
    counts_on_new_images: PairedCounts | None = None,
) -> Verdict:
    """Check a model against each limit of the gate, and against the baseline's probabilities for the same images.

    Without `min_accuracy`, it must beat always guessing the most frequent class. `counts_on_new_images` compare it with
    the baseline on held-out new images.
    """
    accuracy = _accuracy(gate, evaluation)
    checks = [accuracy, *_absolute(gate, evaluation, probabilities, labels)]
    champion = f"version {baseline.version}"
    if baseline_probabilities is not None:
        checks.append(_against(gate, champion, discordant(probabilities, baseline_probabilities, labels)))
    if counts_on_new_images is not None:
        checks.append(_on_new_images(gate, champion, counts_on_new_images))
    checks += _operational(gate, smoke_test)
    return Verdict(
        passed=all(check.passed for check in checks),
        threshold=accuracy.threshold,
        checks=tuple(checks),
        baseline=baseline,
    )


def _accuracy(gate: Gate, evaluation: Evaluation) -> Check:
    value = evaluation.accuracy if gate.accuracy_bound == "estimate" else evaluation.interval[0]
    name = "accuracy" if gate.accuracy_bound == "estimate" else "accuracy (lower bound)"
    if gate.min_accuracy is not None:
        check = _at_least(name, value, gate.min_accuracy)
    else:
        chance = max(c.support for c in evaluation.per_class) / evaluation.count
        check = Check(name=name, value=value, threshold=chance, passed=value > chance, asked="above")
    measured = {"estimate": evaluation.accuracy, "interval": evaluation.interval, "limit": check.threshold}
    return check.model_copy(update={"quantity": "accuracy"} | measured)


def _absolute(gate: Gate, evaluation: Evaluation, probabilities: Probabilities, labels: Labels) -> Iterator[Check]:
    if gate.min_recall is not None:
        worst = min((c for c in evaluation.per_class if c.support), key=lambda c: c.recall)
        yield _at_least(f"recall of class {worst.label}, the worst", worst.recall, gate.min_recall)
    if gate.max_loss is not None:
        yield _at_most("loss", evaluation.loss, gate.max_loss)
    if gate.max_calibration_error is not None:
        yield _at_most("calibration error", calibration_error(probabilities, labels), gate.max_calibration_error)


def _against(gate: Gate, champion: str, counts: PairedCounts) -> Check:
    if gate.against_champion == "superior":
        p, limit, relation = superiority(counts.gained, counts.lost), 0.0, "no better"
    else:
        margin = gate.margin or max(0.005, min(20 / counts.total, 0.5))
        p, limit, relation = non_inferiority(*counts, margin), -margin, f"worse by {100 * margin:.3g} points"
    return _of_difference(_at_most(f"p-value of being {relation} than {champion}", p, gate.significance), limit, counts)


def _on_new_images(gate: Gate, champion: str, counts: PairedCounts) -> Check:
    """The model passes unless McNemar's test shows that it is worse: a batch is too small to show that it is better.

    The counts are swapped, because the test asks whether the champion is better.
    """
    name = f"p-value of being no worse than {champion} on new images"
    check = _at_least(name, superiority(counts.lost, counts.gained), gate.significance)
    return _of_difference(check, 0.0, counts)


def _of_difference(check: Check, limit: float, counts: PairedCounts) -> Check:
    return check.model_copy(
        update={
            "name": f"{check.name} ({counts.gained} gained, {counts.lost} lost of {counts.total})",
            "quantity": "difference to the champion",
            "estimate": (counts.gained - counts.lost) / counts.total,
            "interval": difference_interval(*counts),
            "limit": limit,
        }
    )


def _operational(gate: Gate, smoke_test: SmokeTest) -> Iterator[Check]:
    if gate.max_weights_bytes is not None:
        yield _at_most("bytes of weights", float(smoke_test.weights_bytes), float(gate.max_weights_bytes))
    if gate.max_latency_ms is not None:
        yield _at_most("latency of one image, ms", smoke_test.latency_ms, gate.max_latency_ms)
    if gate.min_throughput is not None:
        yield _at_least("images per second", smoke_test.throughput, gate.min_throughput)


def _at_least(name: str, value: float, threshold: float) -> Check:
    return Check(name=name, value=value, threshold=threshold, passed=value >= threshold, asked="at least")


def _at_most(name: str, value: float, threshold: float) -> Check:
    return Check(name=name, value=value, threshold=threshold, passed=value <= threshold, asked="at most")
