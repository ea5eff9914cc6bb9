"""The report of one training run, for people: a page that needs neither network nor scripts, and pieces for Prefect."""

import base64
import html
import io
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import UInt8
from pydantic import BaseModel, ConfigDict

from artifacts.arrays import Labels, Probabilities
from artifacts.evaluation import Evaluation
from artifacts.gate import Check, Verdict

if TYPE_CHECKING:  # its import takes a second, and a cached run draws nothing
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, RED, INK = "#2b6cb0", "#b42318", "#1b1f24"
LEGIBLE_CLASSES = 20
PNG_LIMIT = 100_000
"""Bytes of a picture that is to fit, in base64, into a markdown piece of 150 kB."""


class Facts(BaseModel):
    """What a run was asked for and what came of it. `history` has one value per epoch, `lineage` digests by label."""

    model_config = ConfigDict(frozen=True)

    dataset: str
    recipe: str
    seed: int
    hyperparameters: dict[str, object]
    evaluation: Evaluation
    history: dict[str, list[float]]
    verdict: Verdict
    data_report: dict[str, object]
    lineage: dict[str, str]


class Mistake(NamedTuple):
    """A test image that was taken for another class, with the probability in [0, 1] that the guess was given."""

    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody needs here
    image: UInt8[np.ndarray, "height width"]
    truth: int
    guess: int
    probability: float

    @property
    def caption(self) -> str:
        return f"true {self.truth}, taken for {self.guess} ({percent(self.probability, 1)})"


class Picture(NamedTuple):
    """A PNG and what it shows, in words."""

    alt: str
    png: bytes

    @property
    def source(self) -> str:
        return f"data:image/png;base64,{base64.b64encode(self.png).decode()}"


class Pictures(NamedTuple):
    """Everything that is drawn, so that page and pieces share it."""

    interval: Picture
    curves: tuple[Picture, ...]
    confusion: Picture
    mistakes: Picture | None


class Table(NamedTuple):
    """Cells as text; the first of each row names the row."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]


def worst_mistakes(probabilities: Probabilities, labels: Labels, limit: int = 24) -> np.ndarray:
    """Indices of wrong predictions, the most confident first; equally confident ones in their own order."""
    guesses = probabilities.argmax(axis=1)
    wrong = np.flatnonzero(guesses != labels)
    return wrong[np.argsort(-probabilities[wrong, guesses[wrong]], kind="stable")[:limit]]


def render_html(facts: Facts, mistakes: Sequence[Mistake], pictures: Pictures | None = None) -> str:
    """The whole report as one page. Equal arguments give equal bytes."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader("artifacts", "")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("report.html.j2").render(
        facts=facts,
        mistakes=mistakes,
        pictures=pictures or draw(facts, mistakes),
        headline=headline(facts),
        checks=_checks(facts.verdict),
        classes=_classes(facts.evaluation),
        confusions=_confusions(facts.evaluation),
        epochs=_epochs(facts.history),
        problems=_problems(facts.data_report),
        data=_data(facts.data_report),
        hyperparameters=Table(("name", "value"), [(k, plain(v)) for k, v in facts.hyperparameters.items()]),
        lineage=Table(("what", "SHA-256"), list(facts.lineage.items())),
        few_classes=len(facts.evaluation.per_class) <= LEGIBLE_CLASSES,
    )


def render_markdown(facts: Facts, mistakes: Sequence[Mistake], pictures: Pictures | None = None) -> dict[str, str]:
    """Pieces under 150 kB each, by the key of the Prefect artifact that each becomes."""
    drawn = pictures or draw(facts, mistakes)
    title = f"{_escaped(facts.dataset)}, recipe {_escaped(facts.recipe)}, seed {facts.seed}"
    gallery = [_image(drawn.mistakes)] if drawn.mistakes else ["No test image was taken for another class."]
    gallery.append("\n".join(f"- test image {mistake.index}: {mistake.caption}" for mistake in mistakes))
    pieces = {
        "metrics": [
            _escaped(headline(facts)),
            _markdown(_checks(facts.verdict)),
            _markdown(_classes(facts.evaluation)),
        ],
        "learning-curves": [_image(picture) for picture in drawn.curves] or ["No epoch was recorded."],
        "confusion-matrix": [_image(drawn.confusion)],
        "mistakes": gallery,
        "validation": [
            *(f"### {name.capitalize()}\n\n{_markdown(table)}" for name, table in _problems(facts.data_report).items()),
            f"### Facts\n\n{_markdown(_data(facts.data_report))}",
        ],
    }
    return {
        key: "\n\n".join([f"## {key.replace('-', ' ').capitalize()}: {title}", *piece]) + "\n"
        for key, piece in pieces.items()
    }


def headline(facts: Facts) -> str:
    """Verdict, accuracy and its interval in one sentence."""
    measured, word = facts.evaluation, "Passed" if facts.verdict.passed else "Rejected"
    return (
        f"{word}: {facts.verdict.reason}. Accuracy {percent(measured.accuracy)} (95\u00a0% interval "
        f"{_interval(measured.interval)}): {measured.correct:,} of {measured.count:,} test images."
    )


def percent(share: float, digits: int = 2) -> str:
    """A share in [0, 1] as percent that do not break from their sign."""
    return f"{100 * share:.{digits}f}\u00a0%"


def plain(value: object) -> str:
    """A JSON value for a table cell: mappings and the first 20 of a list inline, fractions to six digits."""
    if isinstance(value, Mapping):
        return "; ".join(f"{key}: {plain(item)}" for key, item in value.items()) or "none"
    if isinstance(value, list | tuple):
        shown = ", ".join(map(plain, value[:20])) or "none"
        return f"{shown} and {len(value) - 20} more" if len(value) > 20 else shown
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def draw(facts: Facts, mistakes: Sequence[Mistake]) -> Pictures:
    """Draw everything once; equal arguments give equal bytes."""
    panels = _panels(facts.history)
    return Pictures(
        interval=_draw_interval(facts.evaluation, facts.verdict),
        curves=tuple(_draw_curve(name, lines, PNG_LIMIT // len(panels)) for name, lines in panels.items()),
        confusion=_draw_confusion(facts.evaluation),
        mistakes=_draw_mistakes(mistakes) if mistakes else None,
    )


def _draw_interval(evaluation: Evaluation, verdict: Verdict) -> Picture:
    figure, axes = _blank(4.6, 1.5)
    low, high, value, gate = (100 * x for x in (*evaluation.interval, evaluation.accuracy, verdict.threshold))
    axes.barh([0], [high - low], left=[low], height=0.4, color=BLUE, alpha=0.35)
    axes.plot([value], [0], "o", color=BLUE)
    axes.axvline(gate, color=RED, linestyle="--")
    margin = max(0.25 * (max(high, gate) - min(low, gate)), 0.05)
    left, right = max(0, min(low, gate) - margin), min(100, max(high, gate) + margin)
    axes.set(xlim=(left, right), ylim=(-0.8, 0.8), yticks=[], xlabel="accuracy in percent")
    for x, y, text, color in (
        (value, 0.5, f"accuracy {value:.2f}", BLUE),
        (gate, -0.6, f" threshold {gate:.2f} ", RED),
    ):
        side = "right" if x > (left + right) / 2 else "left"
        axes.text(x, y, text, color=color, fontsize=9, ha=side, va="center")
    alt = f"Accuracy {percent(evaluation.accuracy)}, 95 % interval {_interval(evaluation.interval)}"
    return Picture(f"{alt}, threshold {percent(verdict.threshold)}", _png(figure))


def _draw_curve(name: str, lines: Mapping[str, Sequence[float]], limit: int) -> Picture:
    from matplotlib.ticker import MaxNLocator

    figure, axes = _blank(4.6, 2.3)
    for (label, series), color in zip(lines.items(), (BLUE, RED), strict=False):
        axes.plot(range(1, len(series) + 1), series, marker="." if len(series) <= 30 else "", color=color, label=label)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.ticklabel_format(axis="y", useOffset=False)
    axes.set(title=name, xlabel="epoch")
    axes.grid(alpha=0.3)
    if len(lines) > 1:
        axes.legend(fontsize=8, frameon=False)
    words = [f"{label} from {s[0]:.4g} to {s[-1]:.4g} over {len(s)} epochs" for label, s in lines.items()]
    return Picture("; ".join(words), _png(figure, limit))


def _draw_confusion(evaluation: Evaluation) -> Picture:
    matrix = np.array(evaluation.confusion)
    errors = np.where(np.eye(len(matrix), dtype=bool), 0, matrix)
    # the logarithm lets a single error show beside a hundred of another kind
    depth = np.log1p(errors) / np.log1p(max(errors.max(), 1))
    figure, axes = _blank(5.0, 5.0)
    axes.imshow(_shades(depth), interpolation="nearest")
    axes.set(xlabel="taken for", ylabel="true class")
    if len(matrix) <= LEGIBLE_CLASSES:
        axes.set(xticks=range(len(matrix)), yticks=range(len(matrix)))
        for i, j in np.argwhere(matrix):
            color = "white" if depth[i, j] > 0.6 else INK
            axes.text(j, i, str(matrix[i, j]), ha="center", va="center", color=color, fontsize=min(9, 80 / len(matrix)))
    often = ", ".join(f"{i} for {j} ({count})" for i, j, count in _confusions(evaluation)[:3])
    return Picture(
        f"Confusion matrix of {len(matrix)} classes; most often taken, with counts: {often or 'nothing'}", _png(figure)
    )


def _shades(depth: np.ndarray) -> np.ndarray:
    """RGB in [0, 1]: errors from pale to deep red by `depth`, the diagonal light blue, empty cells white."""
    deep, pale = np.array([0.55, 0.05, 0.05]), np.array([1.0, 0.82, 0.75])
    colors: np.ndarray = pale + depth[..., np.newaxis] * (deep - pale)
    colors[depth == 0] = 1
    colors[np.eye(len(depth), dtype=bool)] = (0.82, 0.9, 0.97)
    return colors


def _draw_mistakes(mistakes: Sequence[Mistake], columns: int = 4) -> Picture:
    """A contact sheet on a single pair of axes: one pair for each image would take ten times as long."""
    from matplotlib.figure import Figure

    rows = -(-len(mistakes) // columns)
    figure = Figure(figsize=(4.6, 1.15 * 1.45 * rows))
    axes = figure.add_axes((0, 0, 1, 1))
    for place, mistake in enumerate(mistakes):
        x, y = place % columns + 0.5, 1.45 * (place // columns) + 0.05
        image = mistake.image[:: max(1, len(mistake.image) // 64), :: max(1, mistake.image.shape[1] // 64)]
        height, width = (0.9 * side / max(mistake.image.shape) for side in mistake.image.shape)
        extent = (x - width / 2, x + width / 2, y + height, y)
        axes.imshow(image, extent=extent, aspect="auto", cmap="gray", vmin=0, vmax=255)
        caption = mistake.caption.replace(", ", ",\n").replace(" (", "\n(")
        axes.text(x, y + 0.92, caption, ha="center", va="top", fontsize=8, color=INK)
    axes.set(xlim=(0, columns), ylim=(1.45 * rows, 0))
    axes.set_axis_off()
    return Picture(f"The {len(mistakes)} most confident mistakes, listed below in words", _png(figure))


def _blank(width: float, height: float) -> "tuple[Figure, Axes]":
    """A figure of its own, in inches, that no global state knows of."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
    return figure, axes


def _png(figure: "Figure", limit: int = PNG_LIMIT) -> bytes:
    """The figure as PNG, coarser if it would else exceed `limit` bytes; neither date nor version is written."""
    for dpi in (128, 96, 64, 32):
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
        if buffer.tell() <= limit:
            break
    return buffer.getvalue()


def _panels(history: Mapping[str, Sequence[float]], limit: int = 8) -> dict[str, dict[str, Sequence[float]]]:
    """The lines of each picture: one a quantity, where a series and its `val_` twin share one."""
    names = dict.fromkeys(name.removeprefix("val_") for name, series in history.items() if series)
    return {
        name.replace("_", " "): {
            key.replace("_", " "): history[key] for key in (name, f"val_{name}") if history.get(key)
        }
        for name in list(names)[:limit]
    }


def _confusions(evaluation: Evaluation, limit: int = 10) -> list[tuple[int, int, int]]:
    """(true class, guessed class, count) of the most frequent errors."""
    errors = np.array(evaluation.confusion)
    np.fill_diagonal(errors, 0)
    order = np.argsort(-errors, axis=None, kind="stable")[:limit]
    return [(int(i), int(j), int(errors[i, j])) for i, j in np.argwhere(errors >= 0)[order] if errors[i, j]]


def _checks(verdict: Verdict) -> Table:
    return Table(("check", "value", "threshold", "95\u00a0% interval", "verdict"), [_check(c) for c in verdict.checks])


def _check(check: Check) -> tuple[str, ...]:
    word = "passed" if check.passed else "rejected"
    if check.interval is None:  # not a proportion
        return check.name, plain(check.value), plain(check.threshold), "none", word
    return check.name, percent(check.value), percent(check.threshold), _interval(check.interval), word


def _interval(interval: tuple[float, float]) -> str:
    return " to ".join(map(percent, interval))


def _classes(evaluation: Evaluation) -> Table:
    rows = [
        (str(c.label), percent(c.precision), percent(c.recall), percent(c.f1), f"{c.support:,}")
        for c in evaluation.per_class
    ]
    return Table(("class", "precision", "recall", "F1", "support"), rows)


def _epochs(history: Mapping[str, Sequence[float]]) -> Table:
    rows = [
        (str(epoch), *(f"{value:.4g}" for value in values))
        for epoch, values in enumerate(zip(*history.values(), strict=False), 1)
    ]
    return Table(("epoch", *(name.replace("_", " ") for name in history)), rows)


def _problems(report: Mapping[str, Any]) -> dict[str, Table]:
    """The errors and the warnings of a data report, each with the first of its images."""
    tables = {}
    for kind in ("errors", "warnings"):
        rows = [
            (p["check"], p["split"], p["message"], plain(p["count"]), plain(p["images"])) for p in report.get(kind, ())
        ]
        tables[kind] = Table(("check", "split", "problem", "count", "images"), rows)
    return tables


def _data(report: Mapping[str, Any]) -> Table:
    """The facts of a data report, one column per split; a list has one value per class."""
    splits = {name: value for name, value in report.items() if isinstance(value, Mapping)}
    names = dict.fromkeys(name for facts in splits.values() for name in facts)
    rows = [(name.replace("_", " "), *(_fact(facts.get(name)) for facts in splits.values())) for name in names]
    return Table(("fact", *splits), rows)


def _fact(value: object) -> str:
    return plain(dict(enumerate(value))) if isinstance(value, list | tuple) else plain(value)


def _markdown(table: Table) -> str:
    lines = [table.head, ["---"] * len(table.head), *table.rows]
    return "\n".join(f"| {' | '.join(map(_escaped, line))} |" for line in lines) if table.rows else "None."


def _image(picture: Picture) -> str:
    return f"![{_escaped(picture.alt)}]({picture.source})"


def _escaped(text: str) -> str:
    """Text that Markdown shows as it is, on one line."""
    return re.sub(r"([\\`*_\[\]|~#!])", r"\\\1", html.escape(re.sub(r"[\r\n]+", " ", text)))
