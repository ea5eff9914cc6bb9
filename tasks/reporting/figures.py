"""The figures of a report. Equal arguments give equal figures."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from tasks.evaluation.gate import Check
from tasks.evaluation.metrics import Evaluation
from tasks.reporting.model_card import BINS, LEGIBLE_CLASSES, ModelCard, frequent_errors, percent, signed
from tasks.reporting.svg import (
    WIDTH,
    Figure,
    Number,
    Scale,
    across,
    circle,
    image,
    line,
    number,
    rect,
    scale,
    short,
    text,
    upwards,
)
from tasks.reporting.thumbnails import data_url

COLUMNS = 4
"""Pictures in one row of a gallery."""
ORANGE = (222, 84, 44)
"""The colour of errors in a matrix of many classes, which has one colour for light and dark."""


class Figures(NamedTuple):
    """All figures of a report. `champions` and `recalls` are there only if there is a champion."""

    intervals: tuple[Figure, ...]
    recalls: Figure | None
    curves: tuple[Figure, ...]
    confusion: Figure
    champions: Figure | None
    reliability: Figure
    data: Figure | None


def draw_figures(card: ModelCard) -> Figures:
    """Draw each figure once, for the page and the Markdown pieces."""
    return Figures(
        intervals=tuple(_draw_interval(check) for check in card.verdict.checks if check.interval),
        recalls=_draw_recalls(card, card.champion.evaluation) if card.champion else None,
        curves=tuple(_draw_curves(card)),
        confusion=_draw_confusion(card.evaluation, card.name_of, "This model"),
        champions=_draw_confusion(card.champion.evaluation, card.name_of, "The champion") if card.champion else None,
        reliability=_draw_reliability(card),
        data=_draw_classes(card),
    )


def _draw_interval(check: Check) -> Figure:
    """An estimate with its interval, and the limit above which it should be."""
    unit = "percent" if check.quantity == "accuracy" else "percent points"
    low, high, value, gate = (100 * x for x in (*(check.interval or (0, 0)), check.estimate or 0, check.limit or 0))
    x = scale((low, high, gate), 10, WIDTH - 10, margin=0.15)
    marks = across(x, 22, 66, f"{check.quantity} in {unit}", show=short)
    marks += [
        line([(x(low), 44), (x(high), 44)], "main stroke"),
        circle(x(value), 44, 5, "main fill"),
        line([(x(gate), 22), (x(gate), 66)], "bad stroke dashed"),
        text(*_beside(x, value, 36), short(round(value, 2)), anchor="middle"),
        text(x(gate), 14, f"limit {short(round(gate, 2))}", anchor=_anchor(x, gate)),
    ]
    alt = f"{check.quantity.capitalize()} {value:.2f}, 95% interval {low:.2f} to {high:.2f}, limit {gate:.2f} {unit}"
    where = " on new images" if "on new images" in check.name else ""
    caption = f"{check.quantity.capitalize()}{where}, its 95% interval, and the gate's limit (dashed)."
    return Figure(alt, caption, 98, "".join(marks))


def _beside(x: Scale, value: Number, y: Number) -> tuple[Number, Number]:
    return min(max(x(value), 24), WIDTH - 24), y


def _anchor(x: Scale, value: Number) -> str:
    return "start" if x(value) < 40 else "end" if x(value) > WIDTH - 40 else "middle"


def _draw_recalls(card: ModelCard, champion: Evaluation) -> Figure:
    """By how much the recall of each class differs from the champion's; of many classes, where it differs most."""
    pairs = zip(card.evaluation.per_class, champion.per_class, strict=True)
    gaps = [(ours.label, 100 * (ours.recall - theirs.recall)) for ours, theirs in pairs]
    shown = gaps
    if len(gaps) > LEGIBLE_CLASSES:
        most = sorted(gaps, key=lambda gap: -abs(gap[1]))[:LEGIBLE_CLASSES]
        shown = sorted(most, key=lambda gap: gap[0])
    bottom = 8 + 17.0 * len(shown)
    left = 8 + 6.2 * max(len(_shown(card.name_of(label))) for label, _ in shown)
    x = scale((0, *(gap for _, gap in shown), 1), left + 24, WIDTH - 30, margin=0.12)
    marks = across(x, 8, bottom, "recall minus the champion's, in percent points", show=_signed)
    for i, (label, gap) in enumerate(shown):
        y, kind = 10 + 17 * i, "good fill" if gap > 0 else "bad fill"
        marks.append(text(left - 4, y + 10, _shown(card.name_of(label)), anchor="end"))
        marks.append(rect(min(x(0), x(gap)), y, abs(x(gap) - x(0)), 12, kind))
        end = x(gap) + (3 if gap >= 0 else -3)
        marks.append(text(end, y + 10, signed(gap, 1) if gap else "0", anchor="start" if gap >= 0 else "end"))
    marks.append(line([(x(0), 8), (x(0), bottom)], "axis"))
    words = ", ".join(f"{card.name_of(label)} {signed(gap, 1)}" for label, gap in shown)
    which = "" if shown is gaps else f" for the {len(shown)} classes where it differs most"
    caption = f"Recall against the champion's by class{which}."
    return Figure(
        f"Recall minus the champion's in percent points{which}: {words}", caption, bottom + 34, "".join(marks)
    )


def _draw_curves(card: ModelCard) -> list[Figure]:
    """Loss and accuracy by epoch, with the test images' value after the last one, and the learning rate."""
    evaluation, history, curves = card.evaluation, card.history, list[Figure]()
    if losses := history.get("loss"):
        is_smoothed = bool(card.hyperparameters.get("label_smoothing"))
        smoothed = "In training, it counts the smoothing of the labels." * is_smoothed
        curves.append(_draw_curve("loss", "nats", losses, evaluation.loss, smoothed))
    if accuracies := history.get("accuracy"):
        shares = [100 * accuracy for accuracy in accuracies]
        curves.append(_draw_curve("accuracy", "percent", shares, 100 * evaluation.accuracy))
    if len(card.learning_rates) > 1:
        curves.append(_draw_rates(card.learning_rates, max(map(len, history.values()), default=1)))
    return curves


def _draw_curve(name: str, unit: str, values: Sequence[Number], on_test: Number, note: str = "") -> Figure:
    epochs = len(values)
    x = Scale(1, max(epochs, 2), 46, WIDTH - 60)
    y = scale((*values, on_test), 170, 30)
    marks = upwards(y, 46, WIDTH - 60, f"{name} in {unit}", show=short)
    marks += across(x, 30, 170, "epoch", show=_whole)
    points = [(x(epoch), y(value)) for epoch, value in enumerate(values, 1)]
    marks.append(line([(46, y(on_test)), (WIDTH - 60, y(on_test))], "other stroke dashed"))
    marks.append(line(points, "main stroke"))
    if epochs <= 30:
        marks += [circle(*point, 3, "main fill") for point in points]
    training, test = _apart(points[-1][1], y(on_test))
    marks.append(text(WIDTH - 55, training + 4, "training"))
    marks.append(text(WIDTH - 55, test + 4, "test"))
    alt = (
        f"{name} on training images from {values[0]:.4g} to {values[-1]:.4g} {unit} over {epochs} epochs; "
        f"on test images {on_test:.4g} after the last"
    )
    caption = f"{name.capitalize()} by epoch; dashed: on the test images, after the last. {note}".strip()
    return Figure(alt, caption, 204, "".join(marks))


def _apart(first: Number, second: Number, least: Number = 13) -> tuple[Number, Number]:
    """Two heights, moved apart if they are nearer than `least`."""
    if abs(first - second) >= least:
        return first, second
    middle, side = (first + second) / 2, least / 2 if first >= second else -least / 2
    return middle + side, middle - side


def _draw_rates(rates: Sequence[Number], epochs: int) -> Figure:
    x = Scale(0, max(epochs, 1), 46, WIDTH - 20)
    y = scale((0, *rates), 170, 30)
    marks = upwards(y, 46, WIDTH - 20, "learning rate", show=short) + across(x, 30, 170, "epochs done", show=_whole)
    points = [(x(epochs * i / (len(rates) - 1)), y(rate)) for i, rate in enumerate(rates)]
    marks.append(line(points, "main stroke"))
    alt = f"Learning rate over {epochs} epochs: {rates[0]:.3g} first, {max(rates):.3g} at most, {rates[-1]:.3g} last"
    return Figure(alt, "The learning rate of Adam over the training.", 204, "".join(marks))


def error_opacity(rate: Number) -> float:
    """How opaque a cell of errors is, in [0, 1], for the share `rate` of its row.

    The square root keeps an error of 1% visible, as a tenth of the full colour, and leaves the full colour to classes
    of which all images are read as one other.
    """
    return float(np.sqrt(rate))


def _draw_confusion(evaluation: Evaluation, name_of: Callable[[int], str], whose: str) -> Figure:
    matrix = np.array(evaluation.confusion)
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    often = ", ".join(f"{name_of(i)} as {name_of(j)} ({count})" for i, j, count in frequent_errors(evaluation)[:3])
    alt = f"Confusion matrix of {len(matrix)} classes; most frequent errors, with counts: {often or 'none'}"
    caption = f"{whose}: percent of each true class (row) that is read as each class (column)."
    draw = _draw_cells if len(matrix) <= LEGIBLE_CLASSES else _draw_pixels
    return Figure(alt, caption, WIDTH, "".join(draw(matrix, shares, name_of)))


def _draw_cells(matrix: np.ndarray, shares: np.ndarray, name_of: Callable[[int], str]) -> list[str]:
    """A cell for each pair of classes. The diagonal has a colour of its own."""
    names = [_shown(name_of(label)) for label in range(len(matrix))]
    longest = max(map(len, names))
    left = 22 + 6.2 * longest
    size = (WIDTH - left) / len(names)
    is_turned = 6.5 * longest > size
    top = left if is_turned else 34.0
    height = (WIDTH - top) / len(names)
    marks = [text((left + WIDTH) / 2, 11, "read as", anchor="middle", kind="soft")]
    marks.append(text(11, (top + WIDTH) / 2, "true class", anchor="middle", kind="soft", more=_turned(11, top)))
    for i, name in enumerate(names):
        x, y = left + size * (i + 0.5), top + height * (i + 0.5)
        marks.append(text(left - 5, y + 4, name, anchor="end"))
        turn = f' transform="rotate(-90 {number(x + 4)} {number(top - 6)})"' if is_turned else ""
        marks.append(text(x + 4 * is_turned, top - 6, name, anchor="start" if is_turned else "middle", more=turn))
    small = f' style="font-size:{number(min(11, size / 3))}px"'
    for i, j in np.argwhere(matrix):
        opacity = 0.16 if i == j else error_opacity(shares[i, j])
        x, y, title = left + size * j, top + height * i, f"{names[i]} as {names[j]}: {matrix[i, j]:,} images"
        marks.append(
            rect(x, y, size - 1, height - 1, "main fill" if i == j else "bad fill", opacity=opacity, title=title)
        )
        kind = "on" if i != j and opacity > 0.6 else ""
        words = _cell(shares[i, j])
        marks.append(text(x + size / 2 - 0.5, y + height / 2 + 3.5, words, anchor="middle", kind=kind, more=small))
    return [*marks, line([(left, WIDTH), (left, top), (WIDTH, top)], "axis")]


def _turned(x: Number, top: Number) -> str:
    return f' transform="rotate(-90 {number(x)} {number((top + WIDTH) / 2)})"'


def _draw_pixels(matrix: np.ndarray, shares: np.ndarray, name_of: Callable[[int], str]) -> list[str]:
    """A pixel for each pair of classes, without numbers."""
    pixels = np.zeros((*matrix.shape, 4), np.uint8)
    pixels[..., :3] = ORANGE
    pixels[..., 3] = 17 * np.rint(15 * np.sqrt(shares))  # sixteen shades, which keep the page small
    diagonal = np.arange(len(matrix))
    pixels[diagonal, diagonal] = (90, 150, 220, 110)
    side = WIDTH - 24
    picture = image(data_url(pixels), 20, 20, side, side)
    first, last = _shown(name_of(0)), _shown(name_of(len(matrix) - 1))
    marks = [text(20, 14, first), text(WIDTH, 14, last, anchor="end"), picture]
    marks.append(text(WIDTH / 2, 14, "read as", anchor="middle", kind="soft"))
    return [*marks, text(11, WIDTH / 2, "true class", anchor="middle", kind="soft", more=_turned(11, 0))]


def _cell(share: Number) -> str:
    """A share of a row as percent: as many digits as fit a cell."""
    return "<0.1" if share < 0.0005 else f"{100 * share:.1f}".removesuffix(".0")


def _shown(name: str) -> str:
    """A name as the text of a figure: cut to 12 characters."""
    return name if len(name) <= 12 else f"{name[:11]}…"


def _draw_reliability(card: ModelCard) -> Figure:
    """Accuracy by confidence, and below how many images have which confidence."""
    bins = card.reliability
    x, y = Scale(0, 100, 46, WIDTH - 12), Scale(0, 100, 220, 24)
    marks = upwards(y, 46, WIDTH - 12, "accuracy in percent", show=_whole)
    marks.append(line([(x(0), y(0)), (x(100), y(100))], "other stroke dashed"))
    for b in bins:
        at = x(100 * b.confidence)
        marks.append(line([(at, y(100 * b.confidence)), (at, y(100 * b.accuracy))], "main stroke"))
    for b in bins:
        title = f"{b.images:,} images: {percent(b.accuracy)} right at {percent(b.confidence)} confidence"
        marks.append(circle(x(100 * b.confidence), y(100 * b.accuracy), 4, "main fill", title=title))
    counts = Scale(1, max([*(b.images for b in bins), 10]) * 1.6, 300, 250, is_log=True)
    marks.append(text(0, 240, "images, on a logarithmic scale", kind="soft"))
    for b in bins:
        top = counts(b.images) - 2
        left = x(100 * (math.ceil(BINS * b.confidence) - 1) / BINS)
        width = x(100 / BINS) - x(0)
        marks.append(rect(left + 1, top, width - 2, 300 - top, "main fill", opacity=0.45))
        few = f"{b.images:,}" if b.images < 10_000 else f"{b.images / 1000:.0f}k"
        marks.append(text(left + width / 2, top - 2, few, anchor="middle", more=' style="font-size:9px"'))
    marks += across(x, 300, 300, "confidence in percent", show=_whole)
    words = ", ".join(f"{percent(b.accuracy, 0)} at {percent(b.confidence, 0)} ({b.images:,} images)" for b in bins)
    caption = (
        f"On the dashed line, confidence equals accuracy. The expected calibration error, the mean distance from "
        f"it over all images, is {percent(card.calibration_error)}."
    )
    return Figure(f"Accuracy by confidence: {words}", caption, 334, "".join(marks))


def _draw_classes(card: ModelCard) -> Figure | None:
    """The share of each class in both splits."""
    splits = [(name, counts) for name in ("train", "test") if (counts := card.class_counts(name))]
    if not splits:
        return None
    shares = {name: [100 * n / max(sum(counts), 1) for n in counts] for name, counts in splits}
    classes = max(map(len, shares.values()))
    highest = max(map(max, shares.values()))
    y, width = Scale(0, highest * 1.1 or 1, 160, 30), (WIDTH - 46) / classes
    marks = upwards(y, 46, WIDTH, "share of the images in percent", show=short)
    for offset, (name, kind) in enumerate((("train", "main fill"), ("test", "other fill"))):
        for label, share in enumerate(shares.get(name, ())):
            left = 46 + width * (label + 0.1 + 0.4 * offset)
            title = f"{card.name_of(label)}: {share:.2f}% of the {name} images"
            marks.append(rect(left, y(share), 0.38 * width, 160 - y(share), kind, title=title))
    every = -(-classes // LEGIBLE_CLASSES)
    is_turned = max(len(_shown(card.name_of(label))) for label in range(classes)) * 6.5 > width * every
    for label in range(0, classes, every):
        x = 46 + width * (label + 0.5)
        turn = f' transform="rotate(-60 {number(x)} 170)"' if is_turned else ""
        anchor = "end" if is_turned else "middle"
        marks.append(text(x, 173, _shown(card.name_of(label)), anchor=anchor, more=turn))
    legend = [rect(250, 4, 10, 10, "main fill"), text(264, 13, "training"), rect(330, 4, 10, 10, "other fill")]
    legend.append(text(344, 13, "test"))
    words = "; ".join(f"{name}: {min(of):.1f} to {max(of):.1f}%" for name, of in shares.items())
    caption = "The share of each class in the training and in the test images."
    height = 240 if is_turned else 182
    return Figure(
        f"Share of each class, from the rarest to the most frequent: {words}", caption, height, "".join(marks + legend)
    )


def draw_gallery(sources: Sequence[str], lines: Sequence[Sequence[str]]) -> Figure:
    """Small pictures, given as data URLs, in rows of COLUMNS, each with its lines of text below."""
    side, marks = WIDTH / COLUMNS, []
    height = side + 42
    for i, (source, words) in enumerate(zip(sources, lines, strict=True)):
        x, y = side * (i % COLUMNS), height * (i // COLUMNS)
        marks.append(image(source, x + 4, y, side - 8, side - 8))
        small = ' style="font-size:8px"'
        marks += [text(x + 4, y + side + 3 + 9 * j, part, more=small) for j, part in enumerate(words)]
    alt = f"{len(lines)} images, listed below in words"
    return Figure(alt, "", height * -(-len(lines) // COLUMNS), "".join(marks))


def _whole(value: Number) -> str:
    return f"{value:,.0f}" if value == int(value) else ""


def _signed(value: Number) -> str:
    return f"{value:+.3g}".replace("-", "\u2212") if value else "0"
