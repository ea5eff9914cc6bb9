"""The comparison page needs nothing else and says its plots in words."""

import re

from tasks.reporting.comparison_page import VariantSummary, comparison_html, comparison_markdown


def variant(name: str, accuracy: float | None) -> VariantSummary:
    return VariantSummary(
        name=name,
        hyperparameters={"dropout": 0.5, "filters": [8, 16]},
        seeds=2,
        parameters=100,
        seconds=1.0,
        accuracy=accuracy,
        interval=None if accuracy is None else (accuracy - 0.01, accuracy + 0.01),
        loss=None if accuracy is None else 0.1,
        failure="too small" if accuracy is None else "",
    )


def test_page() -> None:
    """The page loads nothing from elsewhere, escapes names, describes each plot in words, and is the same each time."""
    variants = [variant("a <b>", 0.91), variant("c|d", 0.8), variant("failed", None)]
    page = comparison_html("title", variants)
    assert page == comparison_html("title", variants)
    assert "a &lt;b&gt;" in page and "<b>" not in page
    assert not re.findall(r"""(?:src|href)=["'](?!data:)""", page) and "<script" not in page
    assert "1: 91.00\u00a0% for 100, 2: 80.00\u00a0% for 100" in page
    assert "too small" in page
    table = comparison_markdown("title", variants)
    assert "| 2. c\\|d | 80.00\u00a0% (79.00\u00a0% to 81.00\u00a0%) | 2 |" in table
