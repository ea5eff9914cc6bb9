"""The figures of an experiment: its variants' seeds, and accuracy against cost."""

from collections.abc import Sequence
from typing import NamedTuple

from tasks.reporting.model_card import percent
from tasks.reporting.svg import (
    WIDTH,
    Figure,
    Number,
    across,
    circle,
    line,
    rect,
    scale,
    short,
    spread,
    swarm,
    text,
    upwards,
)


class CostPoint(NamedTuple):
    """A variant in a plot: its number, its accuracy in [0, 1] with an interval if there is one, and its cost."""

    number: int
    accuracy: float
    interval: tuple[float, float] | None
    cost: float


def draw_cost(points: Sequence[CostPoint], cost: str) -> Figure:
    """Accuracy against a cost on a logarithmic scale: numbered means with their intervals, side by side."""
    bottom, right = 250, WIDTH - 12
    costs = [max(p.cost, 1e-3) for p in points]
    x = scale(costs, 46, right, is_log=True, margin=0.1)
    y = scale([100 * a for p in points for a in (p.accuracy, *(p.interval or ()))], bottom, 36)
    marks = upwards(y, 46, right, "accuracy in percent", show=short)
    marks += across(x, 36, bottom, f"{cost}, on a logarithmic scale", show=_thousands)
    for p, middle in zip(points, spread([x(c) for c in costs], 13), strict=True):
        kind = "good" if p.number == 1 else "main"
        low, high = p.interval or (p.accuracy, p.accuracy)
        marks.append(line([(middle, y(100 * low)), (middle, y(100 * high))], f"{kind} stroke"))
        marks.append(circle(middle, y(100 * p.accuracy), 4, f"{kind} hollow"))
        marks.append(text(middle, y(100 * high) - 7, str(p.number), anchor="middle"))
    words = ", ".join(f"{p.number}: {percent(p.accuracy)} for {p.cost:,.6g}" for p in points)
    caption = (
        f"Accuracy by {cost}: means, numbered by rank, with 95% intervals. Points of nearly equal cost are moved "
        "apart sideways."
    )
    return Figure(f"Accuracy by {cost}: {words}", caption, 284, "".join(marks))


class SeedRow(NamedTuple):
    """A variant in a plot of seeds: its number and name, its mean accuracy in [0, 1] with an interval if there is one,
    and the accuracy of each seed.
    """

    number: int
    name: str
    accuracy: float
    interval: tuple[float, float] | None
    seeds: tuple[float, ...]


def draw_seeds(rows: Sequence[SeedRow]) -> Figure:
    """A row for each variant, the best first: every seed as a point beside those it would hide, mean and interval."""
    x = scale([100 * a for r in rows for a in (r.accuracy, *(r.interval or ()), *r.seeds)], 12, WIDTH - 12)
    top, bottom, marks = 6.0, 6.0, list[str]()
    for r in rows:
        kind = "good" if r.number == 1 else "main"
        places = [x(100 * accuracy) for accuracy in r.seeds]
        offsets = swarm(places, 3, 6 * len(places))
        half = max(7.0, *(abs(offset) + 3 for offset in offsets))
        name = r.name if len(r.name) <= 60 else f"{r.name[:59]}…"
        marks.append(text(2, bottom + 12, f"{r.number}. {name}"))
        y, bottom = bottom + 18 + half, bottom + 24 + 2 * half
        low, high = (x(100 * end) for end in r.interval or (r.accuracy, r.accuracy))
        marks.append(rect(low, y - 7, high - low, 14, f"{kind} fill", opacity=0.18))
        marks.append(line([(x(100 * r.accuracy), y - half), (x(100 * r.accuracy), y + half)], f"{kind} stroke"))
        for place, offset, seed in zip(places, offsets, r.seeds, strict=True):
            marks.append(circle(place, y + offset, 3, f"{kind} hollow", title=percent(seed)))
    marks = across(x, top, bottom, "accuracy on held-out training images, in percent", show=short) + marks
    words = "; ".join(f"{r.number}. {r.name}: {', '.join(map(percent, r.seeds))}" for r in rows)
    caption = "Each point is a seed, each line a mean, each band the 95% interval of the mean."
    return Figure(f"Accuracy of each seed by variant: {words}", caption, bottom + 34, "".join(marks))


def _thousands(value: Number) -> str:
    return f"{value / 1e6:g}M" if value >= 1e6 else f"{value / 1e3:g}k" if value >= 1e4 else f"{value:g}"
