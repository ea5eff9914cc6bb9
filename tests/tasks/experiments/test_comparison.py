"""The means, intervals and ranks of variants."""

import numpy as np
import pytest
from statsmodels.stats.weightstats import DescrStatsW

from tasks.experiments.comparison import Row, describe_lead, mean_interval, ranked
from tasks.experiments.trial_worker import TrialResult
from tasks.model.hyperparameters import Hyperparameters


def row(name: str, *accuracies: float | None, parameters: int = 100) -> Row:
    trials = {
        seed: TrialResult(
            accuracy=accuracy, loss=0.1, parameters=parameters, seconds=1, failure="" if accuracy else "too small"
        )
        for seed, accuracy in enumerate(accuracies)
    }
    return Row(name=name, hyperparameters=Hyperparameters(), trials=trials)


@pytest.mark.parametrize("count", [2, 3, 10])
def test_interval(count: int) -> None:
    """The interval is Student's, and agrees with statsmodels; a single value has none."""
    values = np.random.default_rng(count).uniform(0.9, 0.95, count).tolist()
    assert mean_interval(values) == pytest.approx(DescrStatsW(values).tconfint_mean(0.05))
    assert mean_interval(values[:1]) is None


def test_order() -> None:
    """More seeds come first, then higher accuracy, then fewer parameters; failed variants come last."""
    rows = [
        row("failed", 0.99, None),
        row("once", 0.98),
        row("large", 0.95, 0.95, parameters=200),
        row("small", 0.95, 0.95),
        row("good", 0.96, 0.96),
    ]
    assert [r.name for r in ranked(rows)] == ["good", "small", "large", "once", "failed"]


def test_lead() -> None:
    """The best is distinguishable from the next only if the interval of their differences by seed is above zero."""
    steady, next_best = row("steady", 0.96, 0.961, 0.962), row("next", 0.95, 0.951, 0.953)
    assert describe_lead([steady, next_best], "as is") == "better than 'next' by 0.82 to 1.11 points over 3 seeds"
    noisy = row("noisy", 0.99, 0.93, 0.97)
    assert describe_lead([noisy, next_best], "as is").startswith("not distinguishable from 'next' (-")
    once = describe_lead([row("once", 0.98), next_best], "as is")
    assert once == "not yet distinguishable from 'next': that takes two seeds or more"
    assert describe_lead([steady, row("failed", 0.99, None)], "as is") == describe_lead([], "as is") == ""
    as_is = row("as is", 0.9, 0.901, 0.902)
    two = describe_lead([steady, next_best, row("third", 0.93, 0.93, 0.93), as_is], "as is")
    assert [part.partition(" by ")[0] for part in two.split("; ")] == ["better than 'next'", "better than 'as is'"]
    assert describe_lead([steady, as_is], "as is") == "better than 'as is' by 6.00 to 6.00 points over 3 seeds"
