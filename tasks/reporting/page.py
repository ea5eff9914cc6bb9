"""The report of a training run, as an HTML page and as Markdown pieces for Prefect; and what all pages share."""

import html
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tasks.evaluation.gate import Check, Verdict
from tasks.reporting.figures import Figure, Figures
from tasks.reporting.model_card import LEGIBLE_CLASSES, Mistake, ModelCard, frequent_errors, percent, span


class Table(NamedTuple):
    """Cells as text. The first cell of a row names the row."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]


def report_html(card: ModelCard, figures: Figures) -> str:
    """The report as one page. Equal arguments give equal bytes."""
    return render_page(
        "report.html.j2",
        card=card,
        figures=figures,
        headline=headline(card),
        checks=_checks(card.verdict),
        classes=_classes(card),
        confusions=frequent_errors(card.evaluation),
        epochs=_epochs(card.history),
        problems=_problems(card.data_report),
        statistics=_statistics(card),
        hyperparameters=Table(("name", "value"), [(k, format_value(v)) for k, v in card.hyperparameters.items()]),
        lineage=Table(("what", "SHA-256"), list(card.lineage.items())),
        few_classes=len(card.evaluation.per_class) <= LEGIBLE_CLASSES,
    )


def render_page(template: str, **values: object) -> str:
    """A page from a template of this folder. The template gets the name of the shared macros' template as `parts`."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    loader = FileSystemLoader(Path(__file__).parent)
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template(template).render(values, parts="page.html.j2")


def report_markdown(card: ModelCard, figures: Figures) -> dict[str, str]:
    """The report as pieces of less than 150 kB, by the keys of the Prefect artifacts that they become."""
    title = f"{_escaped(card.dataset)}, recipe {_escaped(card.recipe)}, seed {card.seed}"
    pieces = {
        "metrics": [
            _escaped(headline(card)),
            as_markdown(_checks(card.verdict)),
            *map(_image, figures.intervals),
            as_markdown(_classes(card)),
        ],
        "learning-curves": [_image(figure) for figure in figures.curves] or ["No epoch was recorded."],
        "confusion-matrix": [_image(figures.confusion), _image(figures.reliability)],
        "mistakes": _gallery(figures.mistakes, card.mistakes),
        "validation": [
            *(
                f"### {name.capitalize()}\n\n{as_markdown(table)}"
                for name, table in _problems(card.data_report).items()
            ),
            f"### Statistics\n\n{as_markdown(_statistics(card))}",
        ],
    }
    if figures.champions:
        pieces["champion"] = [_escaped(card.verdict.comparison), "Its confusion matrix:", _image(figures.champions)]
        pieces["lost-to-champion"] = _gallery(figures.lost, card.lost)
    return {
        key: "\n\n".join([f"## {key.replace('-', ' ').capitalize()}: {title}", *piece]) + "\n"
        for key, piece in pieces.items()
    }


def headline(card: ModelCard) -> str:
    """The verdict, the accuracy and its interval in one line."""
    evaluation, word = card.evaluation, "Passed" if card.verdict.passed else "Rejected"
    return (
        f"{word}: {card.verdict.reason}. Accuracy {percent(evaluation.accuracy)} (95\u00a0% interval "
        f"{span(evaluation.interval)}): {evaluation.correct:,} of {evaluation.count:,} test images. "
        f"{card.verdict.comparison}."
    )


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


def _checks(verdict: Verdict) -> Table:
    return Table(
        ("check", "value", "threshold", "estimate (95\u00a0% interval)", "verdict"), [_check(c) for c in verdict.checks]
    )


def _check(check: Check) -> tuple[str, ...]:
    word = "passed" if check.passed else "rejected"
    interval = "none" if check.interval is None else f"{percent(check.estimate or 0.0)} ({span(check.interval)})"
    return check.name, format_value(check.value), f"{check.asked} {format_value(check.threshold)}", interval, word


def _classes(card: ModelCard) -> Table:
    rows = [
        (card.name_of(c.label), percent(c.precision), percent(c.recall), percent(c.f1), f"{c.support:,}")
        for c in card.evaluation.per_class
    ]
    return Table(("class", "precision", "recall", "F1", "support"), rows)


def _epochs(history: Mapping[str, Sequence[float]]) -> Table:
    rows = [
        (str(epoch), *(f"{value:.4g}" for value in values))
        for epoch, values in enumerate(zip(*history.values(), strict=False), 1)
    ]
    return Table(("epoch", *(name.replace("_", " ") for name in history)), rows)


def _problems(report: Mapping[str, Any]) -> dict[str, Table]:
    """The errors and the warnings of a data report, each with its first images."""
    tables = {}
    for kind in ("errors", "warnings"):
        rows = [
            (p["check"], p["split"], p["message"], format_value(p["count"]), format_value(p["images"]))
            for p in report.get(kind, ())
        ]
        tables[kind] = Table(("check", "split", "problem", "count", "images"), rows)
    return tables


def _statistics(card: ModelCard) -> Table:
    """The statistics of a data report, one column per split. A list has one value per class."""
    splits = {name: value for name, value in card.data_report.items() if isinstance(value, Mapping)}
    names = dict.fromkeys(name for values in splits.values() for name in values)
    rows = [
        (name.replace("_", " "), *(_statistic(values.get(name), card) for values in splits.values())) for name in names
    ]
    return Table(("statistic", *splits), rows)


def _statistic(value: object, card: ModelCard) -> str:
    if isinstance(value, list | tuple):
        return format_value({card.name_of(label): item for label, item in enumerate(value)})
    return format_value(value)


def as_markdown(table: Table) -> str:
    """A Markdown table."""
    lines = [table.head, ["---"] * len(table.head), *table.rows]
    return "\n".join(f"| {' | '.join(map(_escaped, line))} |" for line in lines) if table.rows else "None."


def _gallery(figure: Figure | None, mistakes: Sequence[Mistake]) -> list[str]:
    if figure is None:
        return ["None."]
    return [_image(figure), "\n".join(f"- test image {mistake.index}: {mistake.caption}" for mistake in mistakes)]


def _image(figure: Figure) -> str:
    return f"![{_escaped(figure.alt)}]({figure.source})"


def _escaped(text: str) -> str:
    """Text that Markdown shows unchanged, on one line."""
    return re.sub(r"([\\`*_\[\]|~#!])", r"\\\1", html.escape(re.sub(r"[\r\n]+", " ", text)))
