"""The report of a training run, as an HTML page and as Markdown pieces for Prefect; and what all pages share."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tasks.reporting.figures import Figures, draw_gallery
from tasks.reporting.model_card import (
    LEGIBLE_CLASSES,
    MISTAKES,
    Example,
    ModelCard,
    frequent_errors,
    percent,
    span,
)
from tasks.reporting.svg import STYLE, Figure
from tasks.reporting.tables import (
    Table,
    as_markdown,
    bins,
    checks,
    class_counts,
    classes,
    differences,
    epochs,
    escaped,
    hyperparameters,
    problems,
    statistics,
    tiles,
)
from tasks.reporting.thumbnails import thumbnails


class Picture(NamedTuple):
    """A small picture: its data URL, and what it shows in words, a line for each clause."""

    source: str
    lines: Sequence[str]


class Galleries(NamedTuple):
    """The images of a report."""

    lost: list[Picture]
    gained: list[Picture]
    mistakes: list[Picture]
    samples: list[Picture]


def report_html(card: ModelCard, figures: Figures) -> str:
    """The report as one page of at most 300 kB. Equal arguments give equal bytes."""
    champion = card.champion
    changed, others = hyperparameters(card)
    return render_page(
        "report.html.j2",
        card=card,
        figures=figures,
        summary=summary(card),
        tiles=tiles(card),
        galleries=_galleries(card),
        checks=checks(card.verdict),
        differences=differences(card, champion) if champion else None,
        classes=classes(card),
        confusions=frequent_errors(card.evaluation),
        epochs=epochs(card.history),
        bins=bins(card),
        problems={kind: table for kind, table in problems(card.data_report).items() if table.rows},
        statistics=statistics(card),
        changed=changed,
        others=others,
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
    environment.globals["colours"] = STYLE
    environment.filters["capitalize_first"] = lambda text: text[:1].upper() + text[1:]
    return environment.get_template(template).render(values, parts="page.html.j2")


def report_markdown(card: ModelCard, figures: Figures) -> dict[str, str]:
    """The report as pieces of less than 150 kB, by the keys of the Prefect artifacts that they become."""
    title = f"{escaped(card.dataset)}, recipe {escaped(card.recipe)}, seed {card.seed}"
    pieces = {
        "metrics": [
            escaped(headline(card)),
            as_markdown(checks(card.verdict)),
            *map(_image, figures.intervals),
            as_markdown(classes(card)),
        ],
        "learning-curves": [_image(figure) for figure in figures.curves] or ["No epoch was recorded."],
        "confusion-matrix": [_image(figures.confusion), _image(figures.reliability)],
        "mistakes": _gallery(card, card.mistakes[:MISTAKES]),
        "validation": [
            *(f"### {name.capitalize()}\n\n{as_markdown(table)}" for name, table in problems(card.data_report).items()),
            f"### Statistics\n\n{as_markdown(statistics(card))}",
            as_markdown(class_counts(card)),
        ],
    }
    if card.champion and figures.champions:
        pieces["champion"] = [
            escaped(card.verdict.comparison),
            as_markdown(differences(card, card.champion)),
            "Its confusion matrix:",
            _image(figures.champions),
        ]
        pieces["lost-to-champion"] = _gallery(card, card.champion.changes.lost)
    return {
        key: "\n\n".join([f"## {key.replace('-', ' ').capitalize()}: {title}", *piece]) + "\n"
        for key, piece in pieces.items()
    }


def headline(card: ModelCard) -> str:
    """The verdict, the accuracy and its interval, and what the model was held against, in one line."""
    return f"{'Passed' if card.verdict.passed else 'Rejected'}: {summary(card)} {card.verdict.comparison}."


def summary(card: ModelCard) -> str:
    """Why the model passed or was rejected, and its accuracy."""
    evaluation, verdict = card.evaluation, card.verdict
    return (
        f"{'every check of the gate holds' if verdict.passed else verdict.reason}. Accuracy "
        f"{percent(evaluation.accuracy)} (95% interval {span(evaluation.interval)}): "
        f"{evaluation.correct:,} of {evaluation.count:,} test images.{_loss(card)}"
    )


def _loss(card: ModelCard) -> str:
    """That a model which passed is less accurate than the champion, if it is."""
    if not card.verdict.passed or card.champion is None:
        return ""
    points = 100 * (card.champion.evaluation.accuracy - card.evaluation.accuracy)
    return f" That is {points:.2f} points less than the champion, which the gate allows." if points > 0 else ""


def _galleries(card: ModelCard) -> Galleries:
    """All images of a report, at a scale at which they fit the page."""
    changes = card.champion.changes if card.champion else None
    shown = {example.index for example in changes.lost} if changes else set()
    others = [example for example in card.mistakes if example.index not in shown][:MISTAKES]
    groups = [changes.lost if changes else [], changes.gained if changes else [], others]
    lines = [[card.readings(example) for example in group] for group in groups]
    small = thumbnails([example.image for group in groups for example in group])
    wide = iter(thumbnails([sample.images for sample in card.samples], budget=60_000))
    urls = iter(small)
    lost, gained, mistakes = ([Picture(next(urls), words) for words in group] for group in lines)
    names = [[f"class {card.name_of(sample.label)}"] for sample in card.samples]
    return Galleries(lost, gained, mistakes, samples=[Picture(next(wide), name) for name in names])


def _gallery(card: ModelCard, examples: Sequence[Example]) -> list[str]:
    if not examples:
        return ["None."]
    lines = [card.readings(example) for example in examples]
    figure = draw_gallery(thumbnails([example.image for example in examples]), lines)
    return [_image(figure), "\n".join(f"- {escaped('; '.join(words))}" for words in lines)]


def _image(figure: Figure) -> str:
    return f"![{escaped(figure.alt)}]({figure.source})"
