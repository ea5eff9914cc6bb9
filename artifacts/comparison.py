"""How variants compare: a row for each, with what its seeds came to, as Markdown and as a page with a plot."""

import math
from collections.abc import Sequence
from statistics import mean, stdev

from pydantic import BaseModel

from artifacts.facts import percent, span
from artifacts.hyperparameters import Hyperparameters
from artifacts.pictures import Picture, Point, draw_cost
from artifacts.report import Table, as_markdown, plain, render_page
from artifacts.results import Tried


class Row(BaseModel, frozen=True):
    """A variant and its trials, by seed. It is scored if each of them was finished."""

    name: str
    hyperparameters: Hyperparameters
    trials: dict[int, Tried]

    @property
    def failure(self) -> str:
        return next((tried.failure or "given up" for tried in self.trials.values() if tried.accuracy is None), "")

    @property
    def accuracies(self) -> list[float]:
        return [tried.accuracy for tried in self.trials.values() if tried.accuracy is not None]

    @property
    def accuracy(self) -> float:
        """Mean accuracy on the held-out images, in [0, 1]."""
        return mean(self.accuracies)

    @property
    def interval(self) -> tuple[float, float] | None:
        """In which the mean over all seeds lies with 95 % confidence (Student's t); None for one seed."""
        return interval(self.accuracies)

    @property
    def parameters(self) -> int:
        return next(iter(self.trials.values())).parameters

    @property
    def seconds(self) -> float:
        return mean(tried.seconds for tried in self.trials.values())

    @property
    def loss(self) -> float:
        """Mean cross-entropy on the held-out images, in nats."""
        return mean(tried.loss or 0.0 for tried in self.trials.values())


def interval(values: Sequence[float]) -> tuple[float, float] | None:
    """The 95 % confidence interval of the mean of shares by Student's t, within [0, 1]; None below two values."""
    if len(values) < 2:
        return None
    from scipy.stats import t

    half = float(t.ppf(0.975, len(values) - 1)) * stdev(values) / math.sqrt(len(values))
    return max(0.0, mean(values) - half), min(1.0, mean(values) + half)


def ranked(rows: Sequence[Row]) -> list[Row]:
    """Those with most seeds first, of these the most accurate, of these the smallest; failed ones last."""
    scored = [row for row in rows if not row.failure]
    order = sorted(scored, key=lambda row: (-len(row.trials), -row.accuracy, row.parameters))
    return order + [row for row in rows if row.failure]


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
        pictures=_pictures(order),
        details=Table(head, details),
    )


def _pictures(order: Sequence[Row]) -> list[Picture]:
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
