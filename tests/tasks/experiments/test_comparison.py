"""How variants are compared: intervals, order, and a page that needs nothing else."""

import re

import numpy as np
import pytest
from statsmodels.stats.weightstats import DescrStatsW

from tasks.experiments.comparison import Row, interval, ranked
from tasks.experiments.trial_worker import TrialResult
from tasks.model.hyperparameters import Hyperparameters
from tasks.reporting.comparison_page import render_html, render_markdown


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
    """The interval is Student's, as statsmodels has it; one value has none."""
    values = np.random.default_rng(count).uniform(0.9, 0.95, count).tolist()
    assert interval(values) == pytest.approx(DescrStatsW(values).tconfint_mean(0.05))
    assert interval(values[:1]) is None


def test_order() -> None:
    """More seeds come first, then accuracy, then fewer parameters; what failed comes last and is never best."""
    rows = [
        row("failed", 0.99, None),
        row("once", 0.98),
        row("large", 0.95, 0.95, parameters=200),
        row("small", 0.95, 0.95),
        row("good", 0.96, 0.96),
    ]
    assert [r.name for r in ranked(rows)] == ["good", "small", "large", "once", "failed"]


def test_page() -> None:
    """The page loads nothing from elsewhere, escapes names, says each plot in words, and is the same each time."""
    rows = [row("a <b>", 0.9, 0.92), row("c|d", 0.8, 0.8), row("failed", None)]
    page = render_html("title", rows)
    assert page == render_html("title", rows)
    assert "a &lt;b&gt;" in page and "<b>" not in page
    assert not re.findall(r"""(?:src|href)=["'](?!data:)""", page) and "<script" not in page
    assert "1: 91.00\u00a0% for 100, 2: 80.00\u00a0% for 100" in page
    assert "too small" in page
    table = render_markdown("title", rows)
    assert "| 2. c\\|d | 80.00\u00a0% (80.00\u00a0% to 80.00\u00a0%) | 2 |" in table
