"""The comparison of an experiment's variants, as Markdown and as a page with plots."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tasks.reporting.comparison_figures import CostPoint, SeedRow, draw_cost, draw_seeds
from tasks.reporting.model_card import percent, span
from tasks.reporting.page import render_page
from tasks.reporting.svg import Figure
from tasks.reporting.tables import Table, as_markdown, format_value

DRAWN = 24
"""Most variants in a figure, the best of them."""


class VariantSummary(NamedTuple):
    """A variant with its means over its seeds: accuracy in [0, 1] with its 95% interval, loss in nats, seconds.

    A variant that failed has no accuracy and no loss; one with a single seed has no interval. `seeds` were tried;
    `accuracies` has one for each of them that was finished.
    """

    name: str
    hyperparameters: Mapping[str, object]
    seeds: int
    accuracies: tuple[float, ...]
    parameters: int
    seconds: float
    accuracy: float | None
    interval: tuple[float, float] | None
    loss: float | None
    failure: str


def comparison_markdown(title: str, variants: Sequence[VariantSummary]) -> str:
    """The comparison as Markdown; `variants` come in the order of their rank. Equal arguments give equal text."""
    return f"## {title}\n\n{as_markdown(_table(variants))}\n"


def comparison_html(title: str, variants: Sequence[VariantSummary], lead: str = "") -> str:
    """The comparison as a page; `variants` come in the order of their rank. Equal arguments give equal bytes.

    `lead` says in words whether the best is distinguishable from the next.
    """
    changed, same = _hyperparameters(variants)
    return render_page(
        "comparison.html.j2",
        title=title,
        winner=variants[0],
        lead=lead,
        table=_table(variants),
        figures=_figures(variants),
        not_drawn=max(0, sum(v.accuracy is not None for v in variants) - DRAWN),
        changed=changed,
        same=same,
    )


def _figures(variants: Sequence[VariantSummary]) -> list[list[Figure]]:
    """The figures of both columns."""
    scored = [(number, v, v.accuracy) for number, v in enumerate(variants, 1) if v.accuracy is not None][:DRAWN]
    if not scored:
        return []
    rows, sizes, times = list[SeedRow](), list[CostPoint](), list[CostPoint]()
    for number, v, accuracy in scored:
        rows.append(SeedRow(number, v.name, accuracy, v.interval, v.accuracies))
        sizes.append(CostPoint(number, accuracy, v.interval, v.parameters))
        times.append(CostPoint(number, accuracy, v.interval, v.seconds))
    return [[draw_seeds(rows)], [draw_cost(sizes, "parameters"), draw_cost(times, "seconds of training")]]


def _hyperparameters(variants: Sequence[VariantSummary]) -> tuple[Table, Table]:
    """The hyperparameters in which variants differ, a column each, and those that all share."""
    cells = {
        name: [format_value(v.hyperparameters.get(name)) for v in variants] for name in variants[0].hyperparameters
    }
    changed = {name.replace("_", " "): values for name, values in cells.items() if len(set(values)) > 1}
    rows = [(f"{n}. {v.name}", *(of[n - 1] for of in changed.values())) for n, v in enumerate(variants, 1)]
    same = [(name.replace("_", " "), values[0]) for name, values in cells.items() if len(set(values)) == 1]
    return Table(("variant", *changed), rows if changed else []), Table(("name", "value"), same)


def _table(variants: Sequence[VariantSummary]) -> Table:
    head = (
        *("variant", "accuracy (95% interval)"),
        *("seeds", "loss", "parameters", "fit, s"),
    )
    return Table(head, [(f"{number}. {v.name}", *_cells(v)) for number, v in enumerate(variants, 1)])


def _cells(variant: VariantSummary) -> tuple[str, ...]:
    seeds = str(variant.seeds)
    if variant.accuracy is None:
        return variant.failure, seeds, "", "", ""
    score = percent(variant.accuracy) + (f" ({span(variant.interval)})" if variant.interval else "")
    return score, seeds, f"{variant.loss:.4f}", f"{variant.parameters:,}", f"{variant.seconds:.1f}"
