"""How variants compare: a row for each, with what its seeds came to, as Markdown and as a page with a plot."""

import math
from collections.abc import Sequence
from statistics import mean, stdev

from pydantic import BaseModel

from tasks.experiments.trial_worker import TrialResult
from tasks.model.hyperparameters import Hyperparameters


class Row(BaseModel, frozen=True):
    """A variant and its trials, by seed. It is scored if each of them was finished."""

    name: str
    hyperparameters: Hyperparameters
    trials: dict[int, TrialResult]

    @property
    def failure(self) -> str:
        return next((tried.failure or "given up" for tried in self.trials.values() if tried.accuracy is None), "")

    @property
    def accuracies(self) -> list[float]:
        return [tried.accuracy for tried in self.trials.values() if tried.accuracy is not None]

    @property
    def accuracy(self) -> float:
        """Mean accuracy on the held-out images, in [0, 1]."""
        return mean(self.accuracies)

    @property
    def interval(self) -> tuple[float, float] | None:
        """In which the mean over all seeds lies with 95 % confidence (Student's t); None for one seed."""
        return interval(self.accuracies)

    @property
    def parameters(self) -> int:
        return next(iter(self.trials.values())).parameters

    @property
    def seconds(self) -> float:
        return mean(tried.seconds for tried in self.trials.values())

    @property
    def loss(self) -> float:
        """Mean cross-entropy on the held-out images, in nats."""
        return mean(tried.loss or 0.0 for tried in self.trials.values())


def interval(values: Sequence[float]) -> tuple[float, float] | None:
    """The 95 % confidence interval of the mean of shares by Student's t, within [0, 1]; None below two values."""
    if len(values) < 2:
        return None
    from scipy.stats import t

    half = float(t.ppf(0.975, len(values) - 1)) * stdev(values) / math.sqrt(len(values))
    return max(0.0, mean(values) - half), min(1.0, mean(values) + half)


def ranked(rows: Sequence[Row]) -> list[Row]:
    """Those with most seeds first, of these the most accurate, of these the smallest; failed ones last."""
    scored = [row for row in rows if not row.failure]
    order = sorted(scored, key=lambda row: (-len(row.trials), -row.accuracy, row.parameters))
    return order + [row for row in rows if row.failure]
