"""The comparison of an experiment's variants, as Markdown and as a page with plots."""

from collections.abc import Sequence

from tasks.experiments.comparison import Row, ranked
from tasks.reporting.figures import Figure, Point, draw_cost
from tasks.reporting.model_card import percent, span
from tasks.reporting.page import Table, as_markdown, plain, render_page


def render_markdown(title: str, rows: Sequence[Row]) -> str:
    """The comparison as Markdown. Equal arguments give equal text."""
    return f"## {title}\n\n{as_markdown(_table(rows))}\n"


def render_html(title: str, rows: Sequence[Row]) -> str:
    """The comparison as a page that needs neither network nor scripts. Equal arguments give equal bytes."""
    order = ranked(rows)
    hyperparameters = [row.hyperparameters.model_dump(mode="json") for row in order]
    head = ("variant", *(name.replace("_", " ") for name in hyperparameters[0]))
    details = [(r.name, *map(plain, values.values())) for r, values in zip(order, hyperparameters, strict=True)]
    return render_page(
        "comparison.html.j2",
        title=title,
        winner=order[0],
        table=_table(rows),
        figures=_pictures(order),
        details=Table(head, details),
    )


def _pictures(order: Sequence[Row]) -> list[Figure]:
    scored = [(number, row) for number, row in enumerate(order, 1) if not row.failure]
    sizes = [Point(number, row.accuracy, row.interval, row.parameters) for number, row in scored]
    times = [Point(number, row.accuracy, row.interval, row.seconds) for number, row in scored]
    return [draw_cost(sizes, "parameters", is_log=True), draw_cost(times, "seconds of training")]


def _table(rows: Sequence[Row]) -> Table:
    head = (
        *("variant", "accuracy on held-out images, mean (95\u00a0% interval)"),
        *("seeds", "loss", "parameters", "fit, s"),
    )
    return Table(head, [(f"{number}. {row.name}", *_cells(row)) for number, row in enumerate(ranked(rows), 1)])


def _cells(row: Row) -> tuple[str, ...]:
    seeds = str(len(row.trials))
    if row.failure:
        return row.failure, seeds, "", "", ""
    score = percent(row.accuracy) + (f" ({span(row.interval)})" if row.interval else "")
    return score, seeds, f"{row.loss:.4f}", f"{row.parameters:,}", f"{row.seconds:.1f}"
