"""What a report has as tables and tiles, and tables as Markdown."""

import html
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from tasks.evaluation.gate import Check, Verdict
from tasks.evaluation.metrics import Evaluation
from tasks.reporting.model_card import Champion, ModelCard, percent, signed


class Table(NamedTuple):
    """Cells as text. The first cell of a row names the row."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]


class Tile(NamedTuple):
    """A number that matters, with its one unit and what it refers to."""

    label: str
    value: str
    unit: str
    note: str = ""


def tiles(card: ModelCard) -> list[Tile]:
    """The numbers that matter, the most asked for first."""
    evaluation = card.evaluation
    low, high = evaluation.interval
    worst = min((c for c in evaluation.per_class if c.support), key=lambda c: c.recall)
    wrong = evaluation.count - evaluation.correct
    weight, unit = _size(card.weights_bytes)
    wrong_then = lowest_then = loss_then = error_then = ""
    if champion := card.champion:
        theirs = champion.evaluation
        wrong_then = f"; champion {theirs.count - theirs.correct:,}"
        lowest_then = f"; champion {100 * _lowest_recall(theirs):.2f}"
        loss_then, error_then = f"; champion {theirs.loss:.4f}", f"; champion {100 * champion.calibration_error:.2f}"
    first = [
        Tile(
            "Accuracy",
            f"{100 * evaluation.accuracy:.2f}",
            "%",
            f"95% interval {100 * low:.2f} to {100 * high:.2f}",
        )
    ]
    if card.champion:
        gap = 100 * (evaluation.accuracy - card.champion.evaluation.accuracy)
        first.append(Tile("To champion", signed(gap), "points", _gap_interval(card)))
    return [
        *first,
        Tile(
            "Mistakes",
            f"{wrong:,}",
            "image" if wrong == 1 else "images",
            f"of {evaluation.count:,} test images{wrong_then}",
        ),
        Tile("Lowest recall", f"{100 * worst.recall:.2f}", "%", f"class {card.name_of(worst.label)}{lowest_then}"),
        Tile("Loss", f"{evaluation.loss:.4f}", "nats", f"mean cross-entropy{loss_then}"),
        Tile("Calibration error", f"{100 * card.calibration_error:.2f}", "%", f"expected, over 15 bins{error_then}"),
        Tile("Network", f"{card.parameters:,}", "parameters"),
        Tile("Weights file", weight, unit),
    ]


def _gap_interval(card: ModelCard) -> str:
    version = f"version {card.verdict.baseline.version}"
    for check in card.verdict.checks:
        if check.quantity == "difference to the champion" and check.interval:
            low, high = (100 * end for end in check.interval)
            return f"{version}; 95% interval {signed(low)} to {signed(high)}"
    return version


def _size(count: int) -> tuple[str, str]:
    """A number of bytes, with its unit."""
    for limit, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= limit:
            return f"{count / limit:.3g}", unit
    return str(count), "bytes"


def differences(card: ModelCard, champion: Champion) -> Table:
    """The measures of both models on the same images, and how they differ."""
    ours, theirs = card.evaluation, champion.evaluation
    a, b = (e.count - e.correct for e in (ours, theirs))
    rows = [
        _shares("accuracy", ours.accuracy, theirs.accuracy),
        ("mistakes", f"{a:,}", f"{b:,}", f"{signed(a - b, 0)} images{_in_words(b - a)}"),
        _shares("lowest recall", _lowest_recall(ours), _lowest_recall(theirs)),
        _shares("expected calibration error", card.calibration_error, champion.calibration_error, is_better=-1),
        (
            "loss",
            f"{ours.loss:.4f}",
            f"{theirs.loss:.4f}",
            f"{signed(ours.loss - theirs.loss, 4)} nats{_in_words(round(theirs.loss - ours.loss, 4))}",
        ),
    ]
    return Table(("measure", "this model", "champion", "difference"), rows)


def _lowest_recall(evaluation: Evaluation) -> float:
    return min(one.recall for one in evaluation.per_class if one.support)


def _shares(name: str, ours: float, theirs: float, is_better: int = 1) -> tuple[str, str, str, str]:
    """A row of shares; `is_better` 1: the greater is better, -1: the lesser."""
    gap = 100 * (ours - theirs)
    return name, percent(ours), percent(theirs), f"{signed(gap)} points{_in_words(round(is_better * gap, 2))}"


def _in_words(gain: int | float) -> str:
    return ", better" if gain > 0 else ", worse" if gain < 0 else ""


def hyperparameters(card: ModelCard) -> tuple[Table, Table]:
    """The hyperparameters that differ from the recipe or the champion, and the others."""
    columns = {"this model": card.hyperparameters, "recipe": card.recipe_hyperparameters}
    if card.champion and card.champion.hyperparameters:
        columns["champion"] = card.champion.hyperparameters
    changed, others = list[Sequence[str]](), list[Sequence[str]]()
    for name in card.hyperparameters:
        cells = [format_value(values.get(name)) for values in columns.values()]
        label = name.replace("_", " ")
        if len(set(cells)) > 1:
            changed.append((label, *cells))
        else:
            others.append((label, cells[0]))
    return Table(("name", *columns), changed), Table(("name", "value"), others)


def checks(verdict: Verdict) -> Table:
    return Table(("check", "value", "threshold", "verdict"), [_check(c) for c in verdict.checks])


def _check(check: Check) -> tuple[str, ...]:
    value, threshold = (_quantity(check, n) for n in (check.value, check.threshold))
    return check.name, value, f"{check.asked} {threshold}", "passed" if check.passed else "rejected"


def _quantity(check: Check, value: float) -> str:
    """The value of a check as text: shares in percent, tiny p-values by their bound."""
    if check.name.startswith(("accuracy", "recall")):
        return percent(value)
    return "less than 0.0001" if check.name.startswith("p-value") and value < 1e-4 else f"{value:.4g}"


def classes(card: ModelCard) -> Table:
    rows = [
        (card.name_of(c.label), percent(c.precision), percent(c.recall), percent(c.f1), f"{c.support:,}")
        for c in card.evaluation.per_class
    ]
    return Table(("class", "precision", "recall", "F1", "test images"), rows)


def bins(card: ModelCard) -> Table:
    rows = [(percent(b.confidence, 1), percent(b.accuracy, 1), f"{b.images:,}") for b in card.reliability]
    return Table(("mean confidence", "accuracy", "images"), rows)


def epochs(history: Mapping[str, Sequence[float]]) -> Table:
    rows = [
        (str(epoch), *(f"{value:.4g}" for value in values))
        for epoch, values in enumerate(zip(*history.values(), strict=False), 1)
    ]
    return Table(("epoch", *(name.replace("_", " ") for name in history)), rows)


def problems(report: Mapping[str, Any]) -> dict[str, Table]:
    """The errors and the warnings of a data report, each with its first images."""
    tables = {}
    for kind in ("errors", "warnings"):
        rows = [
            (p["check"], p["split"], p["message"], format_value(p["count"]), format_value(p["images"]))
            for p in report.get(kind, ())
        ]
        tables[kind] = Table(("check", "split", "problem", "count", "images"), rows)
    return tables


STATISTICS = {
    "images": "images",
    "height": "height, pixels",
    "width": "width, pixels",
    "mean_ink": "mean brightness, 0 to 1",
    "coverage": "share of pixels above 0",
    "contrast": "contrast, 0 to 1",
    "blank": "blank images",
    "constant": "images of one grey",
    "duplicates": "copies of another image",
}
"""What people call the statistics of a split, in the order in which they are shown."""


def statistics(card: ModelCard) -> Table:
    """The statistics of a data report, one column per split."""
    splits = [(name, value) for name in ("train", "test") if isinstance(value := card.data_report.get(name), Mapping)]
    rows = [
        (label, *(_statistic(values[key]) if key in values else "" for _, values in splits))
        for key, label in STATISTICS.items()
        if any(key in values for _, values in splits)
    ]
    return Table(("statistic", *(name for name, _ in splits)), rows)


def _statistic(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.3f}" if isinstance(value, float) else str(value)


def class_counts(card: ModelCard) -> Table:
    counts = {name: of for name in ("train", "test") if (of := card.class_counts(name))}
    classes = max(map(len, counts.values()), default=0)
    rows = [
        (card.name_of(label), *(f"{of[label]:,}" if label < len(of) else "0" for of in counts.values()))
        for label in range(classes)
    ]
    return Table(("class", *counts), rows)


def format_value(value: object) -> str:
    """A JSON value as the text of a table cell: at most 20 items of a list, fractions to six digits."""
    if isinstance(value, Mapping):
        return "; ".join(f"{key}: {format_value(item)}" for key, item in value.items()) or "none"
    if isinstance(value, list | tuple):
        shown = ", ".join(map(format_value, value[:20])) or "none"
        return f"{shown} and {len(value) - 20} more" if len(value) > 20 else shown
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def as_markdown(table: Table) -> str:
    """A Markdown table."""
    lines = [table.head, ["---"] * len(table.head), *table.rows]
    return "\n".join(f"| {' | '.join(map(escaped, line))} |" for line in lines) if table.rows else "None."


def escaped(text: str) -> str:
    """Text that Markdown shows unchanged, on one line."""
    return re.sub(r"([\\`*_\[\]|~#!])", r"\\\1", html.escape(re.sub(r"[\r\n]+", " ", text)))
