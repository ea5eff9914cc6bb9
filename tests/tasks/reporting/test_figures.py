"""Figures say in words what they show."""

import pytest

from tasks.evaluation.gate import Check
from tasks.reporting.figures import draw_figures
from tests.tasks.reporting.test_page import run


def test_interval_names_its_quantity() -> None:
    """The figure of an interval names the quantity that the check states, whatever the name of the check."""
    figures = draw_figures(run()[0])
    assert [figure.alt.partition(" 9")[0].partition(" -")[0] for figure in figures.intervals] == [
        "Accuracy",
        "Difference to the champion",
    ]


@pytest.mark.parametrize(("quantity", "words"), [("accuracy", "limit 80.00 percent"), ("estimate", "percent points")])
def test_unit_follows_the_quantity(quantity: str, words: str) -> None:
    """An accuracy is in percent, and a difference in percent points; a check of an old verdict is drawn too."""
    from tasks.reporting.figures import _draw_interval

    numbers = {"value": 0.9, "threshold": 0.8, "passed": True, "asked": "at least", "estimate": 0.9, "limit": 0.8}
    alt = _draw_interval(Check(name="accuracy of something", quantity=quantity, interval=(0.8, 1.0), **numbers)).alt
    assert alt.startswith(quantity.capitalize()) and alt.endswith(words)
