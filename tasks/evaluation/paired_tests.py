"""Is one model better than another on the same images? Statistics of paired right and wrong answers.

The distributions are those of scipy.special: scipy.stats has them under better names, for half a second and 50 MB.
"""

import math
from typing import NamedTuple

from artifacts.storage.arrays import Labels, Probabilities


class PairedCounts(NamedTuple):
    """The images that only the candidate got right, those that only the champion got right, and all images."""

    gained: int
    lost: int
    total: int


def discordant(candidate: Probabilities, champion: Probabilities, labels: Labels) -> PairedCounts:
    """Compare the probabilities (n, classes) of two models with the labels (n,)."""
    right, was_right = candidate.argmax(axis=1) == labels, champion.argmax(axis=1) == labels
    return PairedCounts(int((right & ~was_right).sum()), int((~right & was_right).sum()), len(labels))


def superiority(gained: int, lost: int) -> float:
    """One-sided p-value of the exact McNemar test; a small one shows that the candidate is better.

    If both models are equally good, gains are binomial with 1/2 among the answers that differ (McNemar 1947,
    Psychometrika 12:153).
    """
    from scipy.special import bdtrc

    return float(bdtrc(gained - 1, gained + lost, 0.5)) if gained + lost else 1.0


def non_inferiority(gained: int, lost: int, count: int, margin: float) -> float:
    """One-sided p-value of Tango's score test; a small one shows that the candidate loses less than `margin`.

    `margin` is a difference of accuracies in (0, 1). Tango 1998, Statistics in Medicine 17:891, equations 3 to 5.
    """
    from scipy.special import ndtr

    return float(ndtr(-_score(gained, lost, count, -margin)))


def difference_interval(gained: int, lost: int, count: int, confidence: float = 0.95) -> tuple[float, float]:
    """Tango's score interval of the candidate's accuracy minus the champion's."""
    from scipy.optimize import brentq
    from scipy.special import ndtri

    z, edge = float(ndtri((1 + confidence) / 2)), 1 - 1e-9
    observed = (gained - lost) / count

    def bound(target: float, end: float) -> float:
        if (_score(gained, lost, count, end) - target) * (_score(gained, lost, count, observed) - target) > 0:
            return end
        return float(brentq(lambda delta: _score(gained, lost, count, delta) - target, *sorted((observed, end))))

    return bound(z, -edge), bound(-z, edge)


def _score(gained: int, lost: int, count: int, delta: float) -> float:
    """The observed difference minus `delta`, in standard errors as they would be for a true difference of `delta`."""
    a = 2 * count
    b = -gained - lost + (2 * count - gained + lost) * delta
    c = -lost * delta * (1 - delta)
    share = (math.sqrt(max(b * b - 4 * a * c, 0)) - b) / (
        2 * a
    )  # estimated share of images that only the champion gets right
    variance = count * (2 * share + delta * (1 - delta))
    distance = gained - lost - count * delta
    return distance / math.sqrt(variance) if variance > 0 else math.copysign(math.inf, distance) if distance else 0.0
