"""The report of one training run, for people: a page that needs neither network nor scripts, and pieces for Prefect."""

import html
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tasks.evaluation.gate import Check, Verdict
from tasks.evaluation.metrics import Evaluation
from tasks.reporting.figures import Figure, Figures
from tasks.reporting.model_card import LEGIBLE_CLASSES, Mistake, ModelCard, frequent_errors, percent, span


class Table(NamedTuple):
    """Cells as text; the first of each row names the row."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]


def render_html(facts: ModelCard, figures: Figures) -> str:
    """The whole report as one page. Equal arguments give equal bytes."""
    return render_page(
        "report.html.j2",
        facts=facts,
        figures=figures,
        headline=headline(facts),
        checks=_checks(facts.verdict),
        classes=_classes(facts.evaluation),
        confusions=frequent_errors(facts.evaluation),
        epochs=_epochs(facts.history),
        problems=_problems(facts.data_report),
        data=_data(facts.data_report),
        hyperparameters=Table(("name", "value"), [(k, plain(v)) for k, v in facts.hyperparameters.items()]),
        lineage=Table(("what", "SHA-256"), list(facts.lineage.items())),
        few_classes=len(facts.evaluation.per_class) <= LEGIBLE_CLASSES,
    )


def render_page(template: str, **values: object) -> str:
    """A page from a template of this folder, which finds the name of the one with what pages share in `parts`."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    loader = FileSystemLoader(Path(__file__).parent)
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template(template).render(values, parts="page.html.j2")


def render_markdown(facts: ModelCard, figures: Figures) -> dict[str, str]:
    """Pieces under 150 kB each, by the key of the Prefect artifact that each becomes."""
    title = f"{_escaped(facts.dataset)}, recipe {_escaped(facts.recipe)}, seed {facts.seed}"
    pieces = {
        "metrics": [
            _escaped(headline(facts)),
            as_markdown(_checks(facts.verdict)),
            *map(_image, figures.intervals),
            as_markdown(_classes(facts.evaluation)),
        ],
        "learning-curves": [_image(figure) for figure in figures.curves] or ["No epoch was recorded."],
        "confusion-matrix": [_image(figures.confusion), _image(figures.reliability)],
        "mistakes": _gallery(figures.mistakes, facts.mistakes),
        "validation": [
            *(
                f"### {name.capitalize()}\n\n{as_markdown(table)}"
                for name, table in _problems(facts.data_report).items()
            ),
            f"### ModelCard\n\n{as_markdown(_data(facts.data_report))}",
        ],
    }
    if figures.champions:
        pieces["champion"] = [_escaped(facts.verdict.stance), "Its confusion matrix:", _image(figures.champions)]
        pieces["lost-to-champion"] = _gallery(figures.lost, facts.lost)
    return {
        key: "\n\n".join([f"## {key.replace('-', ' ').capitalize()}: {title}", *piece]) + "\n"
        for key, piece in pieces.items()
    }


def headline(facts: ModelCard) -> str:
    """Verdict, accuracy and its interval in one sentence."""
    measured, word = facts.evaluation, "Passed" if facts.verdict.passed else "Rejected"
    return (
        f"{word}: {facts.verdict.reason}. Accuracy {percent(measured.accuracy)} (95\u00a0% interval "
        f"{span(measured.interval)}): {measured.correct:,} of {measured.count:,} test images. {facts.verdict.stance}."
    )


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


def _checks(verdict: Verdict) -> Table:
    return Table(
        ("check", "value", "threshold", "estimate (95\u00a0% interval)", "verdict"), [_check(c) for c in verdict.checks]
    )


def _check(check: Check) -> tuple[str, ...]:
    word = "passed" if check.passed else "rejected"
    interval = "none" if check.interval is None else f"{percent(check.estimate or 0.0)} ({span(check.interval)})"
    return check.name, plain(check.value), f"{check.asked} {plain(check.threshold)}", interval, word


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
    """Text that Markdown shows as it is, on one line."""
    return re.sub(r"([\\`*_\[\]|~#!])", r"\\\1", html.escape(re.sub(r"[\r\n]+", " ", text)))
