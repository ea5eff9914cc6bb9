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
        """The 95% confidence interval of the mean accuracy; None for a single seed."""
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
    """The 95% confidence interval of the mean by Student's t, within [0, 1]; None for fewer than two values."""
    if len(shares) < 2:
        return None
    half = _half_width(shares)
    return max(0.0, mean(shares) - half), min(1.0, mean(shares) + half)


def _half_width(values: Sequence[float]) -> float:
    """Half of the 95% confidence interval of the mean of two values or more, by Student's t."""
    from scipy.special import stdtrit

    return float(stdtrit(len(values) - 1, 0.975)) * stdev(values) / math.sqrt(len(values))


def describe_lead(rows: Sequence[Row], reference: str) -> str:
    """Whether the best of ranked rows is distinguishable from the next, and from the one called `reference`, by the 95%
    intervals of their differences over the seeds that both were trained with; "" if there is no next.

    The interval does not know that the best was chosen among many, so it flatters.
    """
    scored = [row for row in rows if not row.failure]
    others = [row for place, row in enumerate(scored) if place == 1 or (place and row.name == reference)]
    return "; ".join(_describe_gap(scored[0], other) for other in others)


def _describe_gap(best: Row, second: Row) -> str:
    shared = best.trials.keys() & second.trials.keys()
    gaps = [(best.trials[seed].accuracy or 0) - (second.trials[seed].accuracy or 0) for seed in sorted(shared)]
    if len(gaps) < 2:
        return f"not yet distinguishable from {second.name!r}: that takes two seeds or more"
    half = _half_width(gaps)
    low, high = 100 * (mean(gaps) - half), 100 * (mean(gaps) + half)
    if low > 0:
        return f"better than {second.name!r} by {low:.2f} to {high:.2f} points over {len(gaps)} seeds"
    return f"not distinguishable from {second.name!r} ({low:+.2f} to {high:+.2f} points over {len(gaps)} seeds)"


def ranked(rows: Sequence[Row]) -> list[Row]:
    """Rows with the most seeds first, then the most accurate, then the smallest; rows that failed come last."""
    scored = [row for row in rows if not row.failure]
    order = sorted(scored, key=lambda row: (-len(row.trials), -row.accuracy, row.parameters))
    return order + [row for row in rows if row.failure]
