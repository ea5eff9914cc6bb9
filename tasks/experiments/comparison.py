"""The comparison of variants: each variant's trials, their means and intervals, and the ranking."""

import math
from collections.abc import Sequence
from statistics import mean, stdev

from pydantic import BaseModel

from tasks.experiments.trial_worker import TrialResult
from tasks.model.hyperparameters import Hyperparameters


class Row(BaseModel, frozen=True):
    """A variant and its trials by seed. It has a score only if every trial was finished."""

    name: str
    hyperparameters: Hyperparameters
    trials: dict[int, TrialResult]

    @property
    def failure(self) -> str:
        """Why the variant has no score; empty if it has one."""
        return next((trial.failure or "pruned" for trial in self.trials.values() if trial.accuracy is None), "")

    @property
    def accuracies(self) -> list[float]:
        return [trial.accuracy for trial in self.trials.values() if trial.accuracy is not None]

    @property
    def accuracy(self) -> float:
        """Mean accuracy on the held-out images, in [0, 1]."""
        return mean(self.accuracies)

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % confidence interval of the mean accuracy; None for a single seed."""
        return mean_interval(self.accuracies)

    @property
    def parameters(self) -> int:
        return next(iter(self.trials.values())).parameters

    @property
    def seconds(self) -> float:
        """Mean time of a fit."""
        return mean(trial.seconds for trial in self.trials.values())

    @property
    def loss(self) -> float:
        """Mean cross-entropy on the held-out images, in nats."""
        return mean(trial.loss or 0.0 for trial in self.trials.values())


def mean_interval(shares: Sequence[float]) -> tuple[float, float] | None:
    """The 95 % confidence interval of the mean by Student's t, within [0, 1]; None for fewer than two values."""
    if len(shares) < 2:
        return None
    from scipy.stats import t

    half = float(t.ppf(0.975, len(shares) - 1)) * stdev(shares) / math.sqrt(len(shares))
    return max(0.0, mean(shares) - half), min(1.0, mean(shares) + half)


def ranked(rows: Sequence[Row]) -> list[Row]:
    """Rows with the most seeds first, then the most accurate, then the smallest; rows that failed come last."""
    scored = [row for row in rows if not row.failure]
    order = sorted(scored, key=lambda row: (-len(row.trials), -row.accuracy, row.parameters))
    return order + [row for row in rows if row.failure]
