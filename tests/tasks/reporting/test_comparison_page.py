"""The comparison page needs nothing else and says its plots in words."""

import re

from tasks.reporting.comparison_page import DRAWN, VariantSummary, comparison_html, comparison_markdown


def variant(name: str, accuracy: float | None, filters: tuple[int, ...] = (8, 16)) -> VariantSummary:
    return VariantSummary(
        name=name,
        hyperparameters={"dropout": 0.5, "filters": filters},
        seeds=2,
        accuracies=() if accuracy is None else (accuracy - 0.005, accuracy + 0.005),
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
    assert not re.findall(r"""(?:src|href)=["'](?!data:|#)""", page) and "<script" not in page
    assert "1: 91.00% for 100, 2: 80.00% for 100" in page
    assert "too small" in page
    table = comparison_markdown("title", variants)
    assert "| 2. c\\|d | 80.00% (79.00% to 81.00%) | 2 |" in table


def test_only_differing_hyperparameters_are_compared() -> None:
    """A hyperparameter in which variants differ has a column; one that all share is folded."""
    page = comparison_html("title", [variant("a", 0.9, (8,)), variant("b", 0.8, (9,))], "better than 'b'")
    shown, folded = page.split("Hyperparameters that differ</h2>")[1].split("<details>")
    assert '<th scope="row">1. a</th><td>8</td>' in shown and "dropout" not in shown
    assert '<th scope="row">dropout</th><td>0.5</td>' in folded
    assert "better than &#39;b&#39;" in page


def test_each_seed_is_a_point() -> None:
    """The figure of the seeds has a point for each of them, also where seeds came to the same accuracy."""
    same = variant("a", 0.9)._replace(accuracies=(0.9,) * 5)
    page = comparison_html("title", [same])
    seeds = page.split('aria-label="Accuracy of each seed')[1].split("</svg>")[0]
    points = re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)" r="3"', seeds)
    assert len(points) == 5 == len(set(points))


def test_page_of_many_variants_is_small() -> None:
    """The page of a hundred variants has at most 300 kB, and says how many its figures leave out."""
    many = [variant(f"trial {i}: learning_rate 0.01, dropout 0.{i}", 0.9 - i / 1000, (i + 1,)) for i in range(100)]
    page = comparison_html("title", many)
    assert len(page.encode()) <= 300_000 and f"leave out the {100 - DRAWN} last" in page


def test_nothing_was_finished() -> None:
    """Without a finished variant there is no figure, and the page says why."""
    page = comparison_html("title", [variant("a", None)])
    assert "<svg" not in page and "too small" in page
