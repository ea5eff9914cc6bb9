"""The comparison of an experiment's variants, as Markdown and as a page with plots."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tasks.reporting.figures import CostPoint, Figure, draw_cost
from tasks.reporting.model_card import percent, span
from tasks.reporting.page import Table, as_markdown, format_value, render_page


class VariantSummary(NamedTuple):
    """A variant with its means over so many `seeds`: accuracy in [0, 1] with its 95 % interval, loss in nats, seconds.

    A variant that failed has no accuracy and no loss; one with a single seed has no interval.
    """

    name: str
    hyperparameters: Mapping[str, object]
    seeds: int
    parameters: int
    seconds: float
    accuracy: float | None
    interval: tuple[float, float] | None
    loss: float | None
    failure: str


def comparison_markdown(title: str, variants: Sequence[VariantSummary]) -> str:
    """The comparison as Markdown; `variants` come in the order of their rank. Equal arguments give equal text."""
    return f"## {title}\n\n{as_markdown(_table(variants))}\n"


def comparison_html(title: str, variants: Sequence[VariantSummary]) -> str:
    """The comparison as a page; `variants` come in the order of their rank. Equal arguments give equal bytes."""
    names = [name.replace("_", " ") for name in variants[0].hyperparameters]
    rows = [(v.name, *map(format_value, v.hyperparameters.values())) for v in variants]
    return render_page(
        "comparison.html.j2",
        title=title,
        winner=variants[0],
        table=_table(variants),
        figures=_cost_figures(variants),
        details=Table(("variant", *names), rows),
    )


def _cost_figures(variants: Sequence[VariantSummary]) -> list[Figure]:
    scored = [(number, v, v.accuracy) for number, v in enumerate(variants, 1) if v.accuracy is not None]
    sizes = [CostPoint(number, accuracy, v.interval, v.parameters) for number, v, accuracy in scored]
    times = [CostPoint(number, accuracy, v.interval, v.seconds) for number, v, accuracy in scored]
    return [draw_cost(sizes, "parameters", is_log=True), draw_cost(times, "seconds of training")]


def _table(variants: Sequence[VariantSummary]) -> Table:
    head = (
        *("variant", "accuracy on held-out images, mean (95\u00a0% interval)"),
        *("seeds", "loss", "parameters", "fit, s"),
    )
    return Table(head, [(f"{number}. {v.name}", *_cells(v)) for number, v in enumerate(variants, 1)])


def _cells(variant: VariantSummary) -> tuple[str, ...]:
    seeds = str(variant.seeds)
    if variant.accuracy is None:
        return variant.failure, seeds, "", "", ""
    score = percent(variant.accuracy) + (f" ({span(variant.interval)})" if variant.interval else "")
    return score, seeds, f"{variant.loss:.4f}", f"{variant.parameters:,}", f"{variant.seconds:.1f}"
