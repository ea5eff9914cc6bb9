"""The gate as data: the limits that a model must keep, and the verdict on it. `checks.py` applies the limits."""

from typing import Literal

from pydantic import BaseModel, Field, model_validator

from artifacts.storage.store import Ref
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
"""Uses of one test set from which on a false promotion is to be expected, at a significance level of 5%."""


NAMED = 5
"""Classes that a verdict names; it counts the others."""


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
        "estimate", description="Which value must reach it: the accuracy, or the lower end of its 95% Wilson interval"
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
    max_recall_loss: float | None = Field(
        None, ge=0, le=1, description="Greatest loss of recall of any class against the champion, on the same images"
    )
    significance: float = Field(0.05, gt=0, lt=0.5, description="Level of the one-sided test against the champion")
    max_weights_bytes: int | None = Field(None, gt=0, description="Greatest size of the weights file")
    max_latency_ms: float | None = Field(None, gt=0, description="Greatest median latency of one image, in ms")
    min_throughput: float | None = Field(None, gt=0, description="Least images per second in batches")

    @model_validator(mode="after")
    def _no_limit_that_nothing_checks(self) -> "Gate":
        if self.max_recall_loss is not None and self.against_champion == "nothing":
            raise ValueError("max_recall_loss needs the champion, but against_champion is nothing; leave one out")
        return self


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
    """The 95% interval of the estimate."""
    limit: float | None = None
    """The value above which the estimate should be."""
    clause: str = ""
    """What came of the check, in words; empty, its numbers say it."""

    @property
    def words(self) -> str:
        """The check as a clause, with shares of images in percent."""
        if self.clause:
            return self.clause
        value, threshold = self._numbers(4)
        if value == threshold and self.value != self.threshold:
            value, threshold = self._numbers(8)
        return f"{self.name} is {value}, {'' if self.passed else 'not '}{self.asked} {threshold}"

    def _numbers(self, digits: int) -> tuple[str, str]:
        """Value and threshold with so many digits."""
        is_share = self.name.startswith(("accuracy", "recall", "loss of recall"))
        value, threshold = (
            f"{100 * n:.{digits}g}%" if is_share else f"{n:.{digits + 2}g}" for n in (self.value, self.threshold)
        )
        return value, threshold


class Verdict(BaseModel, frozen=True, populate_by_name=True, serialize_by_alias=True):
    """All checks, and whether the model passed every one. `threshold` is the least accuracy."""

    passed: bool
    threshold: float
    checks: tuple[Check, ...]
    baseline: Baseline = Field(alias="opponent")  # the name in verdicts
    never_recognised: tuple[str, ...] = ()
    """The classes that the test images have, and that the model never predicts rightly."""

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
        failed = [check.words for check in self.checks if not check.passed]
        passed = [check.words for check in self.checks]
        return "; ".join([*(failed or [*passed, *filter(None, [self.baseline.absence])]), *self._unlearned])

    @property
    def _unlearned(self) -> list[str]:
        names = self.never_recognised
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        return [f"never recognised: {', '.join(names[:NAMED])}{more}"] if names else []
