"""The paired tests have their level and power, and agree with statsmodels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.contingency_tables import mcnemar

from tasks.evaluation.metrics import calibration_error
from tasks.evaluation.paired_tests import difference_interval, discordant, non_inferiority, superiority

COUNT, DISCORDANT, ROUNDS, LEVEL = 10_000, 0.02, 4000, 0.05


def _trials(better: float) -> list[tuple[int, int]]:
    """Gains and losses of many pairs of models, the candidate being better by `better` in accuracy."""
    random = np.random.default_rng(1947)
    shares = [(DISCORDANT + better) / 2, (DISCORDANT - better) / 2, 1 - DISCORDANT]
    return [(int(gained), int(lost)) for gained, lost, _ in random.multinomial(COUNT, shares, ROUNDS)]


def _share(passed: list[bool]) -> float:
    return sum(passed) / len(passed)


def test_false_promotion_rate() -> None:
    """Of two equally good models, the candidate is called better no more often than the level, but for chance."""
    rate = _share([superiority(*trial) <= LEVEL for trial in _trials(0.0)])
    assert 0.03 < rate <= LEVEL + 2 * np.sqrt(LEVEL * (1 - LEVEL) / ROUNDS)


def test_power() -> None:
    """A candidate that is better by 0.4 points is called so as often as the normal approximation says."""
    from scipy.stats import norm

    better = 0.004
    expected = norm.sf(
        (norm.ppf(1 - LEVEL) * np.sqrt(DISCORDANT) - np.sqrt(COUNT) * better) / np.sqrt(DISCORDANT - better**2)
    )
    assert _share([superiority(*trial) <= LEVEL for trial in _trials(better)]) == pytest.approx(expected, abs=0.03)


def test_non_inferiority_level() -> None:
    """A candidate that is worse by exactly the margin passes no more often than the level, but for chance."""
    rate = _share([non_inferiority(*trial, COUNT, 0.003) <= LEVEL for trial in _trials(-0.003)])
    assert 0.03 < rate <= LEVEL + 3 * np.sqrt(LEVEL * (1 - LEVEL) / ROUNDS)


@settings(deadline=None)
@given(st.integers(0, 300), st.integers(0, 300))
def test_mcnemar(gained: int, lost: int) -> None:
    """The one-sided test is half of statsmodels' exact two-sided one, on the side of the greater count."""
    two_sided = mcnemar([[0, gained], [lost, 0]], exact=True).pvalue
    assert min(1, 2 * min(superiority(gained, lost), superiority(lost, gained))) == pytest.approx(two_sided)


@settings(deadline=None)
@given(st.integers(0, 50), st.integers(0, 50), st.integers(101, 1000))
def test_interval_and_test_agree(gained: int, lost: int, count: int) -> None:
    """The lower end of the 90% interval is above minus the margin exactly where the test at 5% passes."""
    low, high = difference_interval(gained, lost, count, 0.90)
    assert low <= (gained - lost) / count <= high
    for margin in (low - 1e-4, low + 1e-4):
        if -1 < margin < 0:
            assert (non_inferiority(gained, lost, count, -margin) <= LEVEL) == (margin < low)


def test_discordant() -> None:
    """Only images on which exactly one of the two is right count."""
    labels = np.array([0, 0, 1, 1], np.uint8)
    candidate, champion = np.eye(2, dtype=np.float32)[[0, 0, 1, 0]], np.eye(2, dtype=np.float32)[[0, 1, 0, 1]]
    assert discordant(candidate, champion, labels) == (2, 1, 4)


def test_calibration() -> None:
    """A model whose accuracy equals its confidence has no calibration error; always sure and half right is 0.5."""
    labels = np.zeros(1000, np.uint8)
    sure = np.tile(np.array([[1, 0], [0, 1]], np.float32), (500, 1))
    assert calibration_error(sure, labels) == pytest.approx(0.5)
    fair = np.tile(np.array([[0.75, 0.25]] * 3 + [[0.25, 0.75]], np.float32), (250, 1))
    assert calibration_error(fair, labels) == pytest.approx(0, abs=1e-6)
