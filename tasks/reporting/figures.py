"""The figures of a report, each as PNG and in words. Equal arguments give equal bytes."""

import base64
import io
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tasks.evaluation.gate import Check
from tasks.evaluation.metrics import Bin, Evaluation
from tasks.reporting.model_card import LEGIBLE_CLASSES, Mistake, ModelCard, frequent_errors, percent

if TYPE_CHECKING:  # the import takes a second, and a cached run draws nothing
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas

BLUE, RED, INK = "#2b6cb0", "#b42318", "#1b1f24"
COLUMNS = 4
"""Mistakes in one row of their figure."""
PNG_LIMIT = 100_000
"""Largest PNG, in bytes, that fits as base64 into a Markdown piece of 150 kB."""


class Figure(NamedTuple):
    """A PNG, and a description in words of what it shows."""

    alt: str
    png: bytes

    @property
    def source(self) -> str:
        return f"data:image/png;base64,{base64.b64encode(self.png).decode()}"


class Figures(NamedTuple):
    """All figures of a report. `champions` and `lost` are there only if there is a champion."""

    intervals: tuple[Figure, ...]
    curves: tuple[Figure, ...]
    confusion: Figure
    champions: Figure | None
    reliability: Figure
    mistakes: Figure | None
    lost: Figure | None


def draw_figures(card: ModelCard) -> Figures:
    """Draw each figure once, for the page and the Markdown pieces."""
    series = {name.replace("_", " "): values for name, values in card.history.items() if values}
    return Figures(
        intervals=tuple(_draw_interval(check) for check in card.verdict.checks if check.interval),
        curves=tuple(_draw_curve(name, values, PNG_LIMIT // len(series)) for name, values in series.items()),
        confusion=_draw_confusion(card.evaluation, card.name_of),
        champions=_draw_confusion(card.champion, card.name_of) if card.champion else None,
        reliability=_draw_reliability(card.reliability),
        mistakes=_draw_mistakes(card.mistakes) if card.mistakes else None,
        lost=_draw_mistakes(card.lost) if card.lost else None,
    )


def _draw_interval(check: Check) -> Figure:
    """An estimate with its interval, and the limit above which it should be."""
    figure, axes = _blank(4.6, 1.5)
    unit = "percent" if check.quantity == "accuracy" else "percent points"
    low, high, value, gate = (100 * x for x in (*(check.interval or (0, 0)), check.estimate or 0, check.limit or 0))
    axes.barh([0], [high - low], left=[low], height=0.4, color=BLUE, alpha=0.35)
    axes.plot([value], [0], "o", color=BLUE)
    axes.axvline(gate, color=RED, linestyle="--")
    margin = max(0.25 * (max(high, gate) - min(low, gate)), 0.05)
    left, right = max(-100, min(low, gate) - margin), min(100, max(high, gate) + margin)
    axes.set(xlim=(left, right), ylim=(-0.8, 0.8), yticks=[], xlabel=f"{check.quantity} in {unit}")
    texts = (value, 0.5, f"{value:.2f}", BLUE), (gate, -0.6, f" limit {gate:.2f} ", RED)
    for x, y, text, color in texts:
        side = "right" if x > (left + right) / 2 else "left"
        axes.text(x, y, text, color=color, fontsize=9, ha=side, va="center")
    alt = f"{check.quantity.capitalize()} {value:.2f}, 95 % interval {low:.2f} to {high:.2f}, limit {gate:.2f} {unit}"
    return Figure(alt, _png(figure))


def _draw_reliability(bins: Sequence[Bin]) -> Figure:
    figure, axes = _blank(4.6, 3.2)
    axes.plot([0, 1], [0, 1], color=RED, linestyle="--", linewidth=1)
    axes.plot([b.confidence for b in bins], [b.accuracy for b in bins], marker="o", color=BLUE, alpha=0.8)
    axes.set(title="calibration", xlabel="confidence", ylabel="accuracy", xlim=(0, 1.02), ylim=(0, 1.02))
    axes.grid(alpha=0.3)
    words = ", ".join(f"{percent(b.accuracy, 0)} at {percent(b.confidence, 0)} ({b.images:,} images)" for b in bins)
    return Figure(f"Accuracy by confidence: {words}", _png(figure))


def _draw_curve(name: str, values: Sequence[float], limit: int) -> Figure:
    from matplotlib.ticker import MaxNLocator

    figure, axes = _blank(4.6, 2.3)
    axes.plot(range(1, len(values) + 1), values, marker="." if len(values) <= 30 else "", color=BLUE)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.ticklabel_format(axis="y", useOffset=False)
    axes.set(title=name, xlabel="epoch")
    axes.grid(alpha=0.3)
    return Figure(f"{name} from {values[0]:.4g} to {values[-1]:.4g} over {len(values)} epochs", _png(figure, limit))


def _draw_confusion(evaluation: Evaluation, name_of: Callable[[int], str]) -> Figure:
    matrix = np.array(evaluation.confusion)
    errors = np.where(np.eye(len(matrix), dtype=bool), 0, matrix)
    # on a logarithmic scale, a single error stays visible beside a hundred of another kind
    depth = np.log1p(errors) / np.log1p(max(errors.max(), 1))
    figure, axes = _blank(5.0, 5.0)
    axes.imshow(_shades(depth), interpolation="nearest")
    axes.set(xlabel="predicted class", ylabel="true class")
    if len(matrix) <= LEGIBLE_CLASSES:
        ticks = range(len(matrix))
        names = [_shown(name_of(label)) for label in ticks]
        axes.set(xticks=ticks, yticks=ticks, xticklabels=names, yticklabels=names)
        if max(map(len, names)) > 3:
            axes.tick_params(axis="x", labelrotation=90)
        for i, j in np.argwhere(matrix):
            color = "white" if depth[i, j] > 0.6 else INK
            axes.text(j, i, str(matrix[i, j]), ha="center", va="center", color=color, fontsize=min(9, 80 / len(matrix)))
    often = ", ".join(f"{name_of(i)} as {name_of(j)} ({count})" for i, j, count in frequent_errors(evaluation)[:3])
    alt = f"Confusion matrix of {len(matrix)} classes; most frequent errors, with counts: {often or 'none'}"
    return Figure(alt, _png(figure))


def _shown(name: str) -> str:
    """A name as the text of a figure: cut to 16 characters, without the marks that begin a formula."""
    return (name if len(name) <= 16 else f"{name[:15]}…").replace("$", r"\$")


def _shades(depth: np.ndarray) -> np.ndarray:
    """RGB in [0, 1]: errors from pale to deep red by `depth`, the diagonal light blue, empty cells white."""
    deep, pale = np.array([0.55, 0.05, 0.05]), np.array([1.0, 0.82, 0.75])
    colors: np.ndarray = pale + depth[..., np.newaxis] * (deep - pale)
    colors[depth == 0] = 1
    colors[np.eye(len(depth), dtype=bool)] = (0.82, 0.9, 0.97)
    return colors


def _draw_mistakes(mistakes: Sequence[Mistake]) -> Figure:
    """All images on a single pair of axes: a pair for each image would take ten times as long."""
    from matplotlib.figure import Figure as Canvas

    rows = -(-len(mistakes) // COLUMNS)
    figure = Canvas(figsize=(4.6, 1.15 * 1.45 * rows))
    axes = figure.add_axes((0, 0, 1, 1))
    for i, mistake in enumerate(mistakes):
        x, y = i % COLUMNS + 0.5, 1.45 * (i // COLUMNS) + 0.05
        image = mistake.image[:: max(1, len(mistake.image) // 64), :: max(1, mistake.image.shape[1] // 64)]
        height, width = (0.9 * side / max(mistake.image.shape) for side in mistake.image.shape)
        extent = (x - width / 2, x + width / 2, y + height, y)
        axes.imshow(image, extent=extent, aspect="auto", cmap="gray", vmin=0, vmax=255)
        caption = mistake.caption.replace(", ", ",\n").replace(" (", "\n(")
        axes.text(x, y + 0.92, caption, ha="center", va="top", fontsize=8, color=INK)
    axes.set(xlim=(0, COLUMNS), ylim=(1.45 * rows, 0))
    axes.set_axis_off()
    return Figure(f"{len(mistakes)} mistakes, the most confident first, listed below in words", _png(figure))


class CostPoint(NamedTuple):
    """A variant in a plot: its number, its accuracy in [0, 1] with an interval if there is one, and its cost."""

    number: int
    accuracy: float
    interval: tuple[float, float] | None
    cost: float


def draw_cost(points: Sequence[CostPoint], cost: str, is_log: bool = False) -> Figure:
    """Plot accuracy against a cost, and label each point with its number."""
    figure, axes = _blank(4.6, 3.4)
    for point in points:
        low, high = point.interval or (point.accuracy, point.accuracy)
        axes.vlines(point.cost, 100 * low, 100 * high, color=BLUE, alpha=0.35, linewidth=3)
        axes.plot([point.cost], [100 * point.accuracy], "o", color=RED if point.number == 1 else BLUE, markersize=4)
        place = (point.cost, 100 * point.accuracy)
        axes.annotate(str(point.number), place, (4, 2), textcoords="offset points", fontsize=8, color=INK)
    if is_log:
        axes.set_xscale("log")
    axes.set(xlabel=cost, ylabel="accuracy in percent")
    axes.grid(alpha=0.3)
    words = ", ".join(f"{p.number}: {percent(p.accuracy)} for {p.cost:,.6g}" for p in points)
    return Figure(f"Accuracy by {cost}: {words}", _png(figure))


def _blank(width: float, height: float) -> "tuple[Canvas, Axes]":
    """An empty figure of this size in inches, without pyplot, whose state is global."""
    from matplotlib.figure import Figure as Canvas

    figure = Canvas(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
    return figure, axes


def _png(figure: "Canvas", limit: int = PNG_LIMIT) -> bytes:
    """The figure as PNG without date and version, at a lower resolution if it would exceed `limit` bytes."""
    for dpi in (128, 96, 64, 32):
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
        if buffer.tell() <= limit:
            break
    return buffer.getvalue()
