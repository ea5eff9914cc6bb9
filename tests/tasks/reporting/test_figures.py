"""Figures say in words what they show, and their colours fit what they mean."""

import re

import pytest

from tasks.evaluation.gate import Check
from tasks.reporting.figures import draw_figures, error_opacity
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


@pytest.mark.parametrize("errors", [1, 4, 13, 39])
def test_colour_of_errors_fits_their_rate(errors: int) -> None:
    """A cell of errors is as opaque as the square root of its share, whatever the other cells are."""
    card, figures = run(errors=errors)
    cells = re.findall(
        r'class="bad fill"(?: fill-opacity="([\d.]+)")?><title>(\d) as (\d): (\d+) images', figures.confusion.marks
    )
    rows = card.evaluation.per_class
    assert sum(int(count) for *_, count in cells) == errors
    for opacity, truth, _, count in cells:
        assert float(opacity or 1) == pytest.approx((int(count) / rows[int(truth)].support) ** 0.5, abs=0.005)


def test_a_good_model_is_not_on_fire() -> None:
    """An error in 40 images has less than a fifth of the full colour; a class never recognised has all of it."""
    assert error_opacity(0) == 0 and error_opacity(1 / 40) < 0.2 and error_opacity(1) == 1
