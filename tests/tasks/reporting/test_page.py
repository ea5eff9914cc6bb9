"""The report of any run is complete and safe, and equal runs give equal bytes."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from tasks.evaluation.checks import apply_gate
from tasks.evaluation.gate import Baseline, Gate, SmokeTest
from tasks.evaluation.metrics import calibration_error, measure, reliability_bins
from tasks.reporting.figures import Figures, draw_figures
from tasks.reporting.model_card import (
    CHANGED,
    MISTAKES,
    Champion,
    ModelCard,
    changed_sides,
    class_samples,
    worst_mistakes,
)
from tasks.reporting.page import report_html, report_markdown
from tasks.reporting.run_facts import MARK
from tasks.reporting.svg import Figure
from tasks.reporting.tables import differences, tiles

HOSTILE = "<script src='https://evil.example/x.js'></script>\n# [a](http://evil.example) | `b`"
VOID = {"meta", "img", "br", "hr", "link", "input"}


class Page(HTMLParser):
    """The tags of a page with their attributes. Fails if the tags do not nest."""

    def __init__(self, text: str):
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def run(
    classes: int = 3,
    errors: int = 4,
    threshold: float = 0.5,
    dataset: str = "tiny",
    side: int = 28,
    names: tuple[str, ...] = (),
    champion: bool = True,
) -> tuple[ModelCard, Figures]:
    """A run on noise with 40 images, or two per class if that is more; the first `errors` predictions are wrong.

    The champion, version 7, if there is one, predicts all images correctly.
    """
    generator = np.random.default_rng(0)
    labels = np.resize(np.arange(classes), max(40, 2 * classes)).astype(np.uint8)
    predicted = np.where(np.arange(len(labels)) < errors, (labels + np.intp(1)) % classes, labels)
    probabilities = np.full((len(labels), classes), 0.1 / classes, np.float32)
    probabilities[np.arange(len(labels)), predicted] += 0.9
    perfect = np.eye(classes, dtype=np.float32)[labels]
    evaluation = measure(probabilities, labels)
    problem = {"split": "train", "check": "duplicate", "message": "one image twice", "count": 1, "images": [7]}
    split = {"images": len(labels), "height": side, "width": side, "classes": np.bincount(labels).tolist()}
    images = generator.integers(0, 256, (len(labels), side, side), np.uint8)
    verdict = apply_gate(
        Gate(min_accuracy=threshold, margin=0.5),
        evaluation,
        probabilities,
        labels=labels,
        smoke_test=SmokeTest(weights_bytes=100, latency_ms=1.0, throughput=100.0),
        baseline=Baseline(version=7) if champion else Baseline(absence="no champion yet"),
        baseline_probabilities=perfect if champion else None,
    )
    changes = changed_sides(images, labels, probabilities, perfect)
    card = ModelCard(
        dataset=dataset,
        recipe="tutorial",
        seed=42,
        hyperparameters={"epochs": 2, "layers": [32, 10], "augment": False},
        recipe_hyperparameters={"epochs": 3, "layers": [32, 10], "augment": False},
        evaluation=evaluation,
        champion=Champion(measure(perfect, labels), 0.0, {"epochs": 2, "layers": [8]}, changes) if champion else None,
        reliability=reliability_bins(probabilities, labels),
        calibration_error=calibration_error(probabilities, labels),
        history={"loss": [1.2, 0.4], "accuracy": [0.6, 0.9]},
        learning_rates=[0.001, 0.01, 0.0],
        verdict=verdict,
        parameters=13_610,
        weights_bytes=70_000,
        data_report={"errors": [], "warnings": [problem], "train": split, "test": None},
        lineage={"weights": "ab" * 32},
        mistakes=worst_mistakes(images, labels, probabilities, perfect if champion else None),
        samples=class_samples(images, labels),
        class_names=names,
    )
    return card, draw_figures(card)


def test_page_loads_nothing() -> None:
    """The tags of the page nest; it runs no script and loads nothing; its pictures are in it."""
    text = report_html(*run())
    page = Page(text)
    assert all(
        str(attributes["src"]).startswith("data:image/png;base64,") for tag, attributes in page.tags if tag == "img"
    )
    assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in page.tags}
    assert not re.search(r"https?:|url\(|@import", text)


def test_differences_say_which_way_is_better() -> None:
    """A difference to the champion says whether it is better or worse: fewer mistakes and a lower loss are better."""
    (card, _), (other, _) = run(champion=True), run(champion=False)
    assert card.champion
    rows = {name: gap for name, *_, gap in differences(card, card.champion).rows}
    assert rows["mistakes"] == "+4 images, worse" and rows["accuracy"].endswith("points, worse")
    assert rows["loss"].startswith("+") and rows["loss"].endswith("nats, worse")
    notes = {tile.label: tile.note for tile in tiles(card)}
    assert notes["Mistakes"].endswith("; champion 0") and not any("champion" in tile.note for tile in tiles(other))


def test_few_steps_are_said() -> None:
    """A card of a network that learned in few steps says so where learning is shown; another card does not."""
    card, figures = run()
    said = "the network learned in 8 steps only; try --epochs 50"
    assert f"<p>T{said[1:]}.</p>" in report_html(replace(card, few_steps=said), figures)
    assert "steps only" not in report_html(card, figures)


def test_figures_are_described() -> None:
    """Each figure is in the page as one image with a description in words, and with a caption."""
    card, figures = run()
    drawn = [
        figure
        for group in figures
        for figure in (group if isinstance(group, tuple) and group and isinstance(group[0], Figure) else [group])
    ]
    images = [attributes["aria-label"] for tag, attributes in Page(report_html(card, figures)).tags if tag == "svg"]
    assert sorted(map(str, images)) == sorted(figure.alt for figure in drawn) and len(images) == 10
    assert all(figure.caption for figure in drawn)


@pytest.mark.parametrize("champion", [False, True])
def test_champion_comes_first(champion: bool) -> None:
    """With a champion, the first section is about the differences to it; without one, nothing speaks of it."""
    page = report_html(*run(champion=champion))
    sections = [attributes["id"] for tag, attributes in Page(page).tags if tag == "section"]
    linked = [str(attributes["href"])[1:] for tag, attributes in Page(page).tags if tag == "a"]
    assert sections == linked and (sections[0] == "champion") == champion
    assert ("Now wrong: 4 images" in page) == champion and ("Now right: 0 images" in page) == champion
    assert champion or "champion" not in page.replace("no champion yet", "").replace("No champion yet", "")


def test_no_image_is_shown_twice() -> None:
    """An image that the champion alone reads rightly is not among the other mistakes; the rest of them is shown."""
    card, figures = run(errors=30)
    page = report_html(card, figures)
    shown = re.findall(r"test image (\d+)", page)
    assert len(shown) == len(set(shown)) == CHANGED + MISTAKES


@pytest.mark.parametrize(("errors", "said"), [(4, True), (0, False)])
def test_a_loss_that_the_gate_allows_is_said(errors: int, said: bool) -> None:
    """A model that passed and is less accurate than the champion says by how much."""
    page = report_html(*run(errors=errors))
    assert "Passed" in page and ("That is 10.00 points less than the champion, which the gate allows." in page) == said


def test_tiles_have_one_unit() -> None:
    """Each tile has a label, a number and exactly one unit, which the number does not repeat."""
    items = re.findall(r"<li>([^<]+) <b>([^<]+) <span class=\"unit\">([^<]+)</span></b>", report_html(*run()))
    assert [label for label, _, _ in items] == [
        *("Accuracy", "To champion", "Mistakes", "Lowest recall", "Loss", "Calibration error"),
        *("Network", "Weights file"),
    ]
    assert all(re.fullmatch(r"[+\u2212]?[\d,.]+", value) and unit.strip() for _, value, unit in items)


@pytest.mark.parametrize(("classes", "side"), [(3, 28), (20, 300), (256, 300)])
def test_page_is_small(classes: int, side: int) -> None:
    """The page has at most 300 kB, even with large images of pure noise that are all misread."""
    text = report_html(
        *run(classes, errors=1000, side=side, names=tuple(f"a class with a long name {i}" for i in range(classes)))
    )
    assert len(text.encode()) <= 300_000


def test_changed_hyperparameters_come_first() -> None:
    """What differs from the recipe or the champion is in a table with their values; the rest is folded."""
    page = report_html(*run())
    shown, folded = page.split("These differ from the recipe or the champion.")[1].split("<details>")[:2]
    assert re.findall(r"<th scope=\"row\">(\w+)</th><td>([^<]*)</td><td>([^<]*)</td><td>([^<]*)</td>", shown) == [
        ("epochs", "2", "3", "2"),
        ("layers", "32, 10", "32, 10", "8"),
        ("augment", "no", "no", "none"),
    ]
    assert "The other 0" in folded


def test_table_headers_have_scope() -> None:
    """Each header cell says whether it is the header of a row or of a column."""
    headers = [attributes for tag, attributes in Page(report_html(*run())).tags if tag == "th"]
    assert {header.get("scope") for header in headers} == {"row", "col"}


def test_hostile_names_stay_text() -> None:
    """The names of a data set and its classes are shown as text; they are neither HTML nor Markdown."""
    card, figures = run(dataset=HOSTILE, names=(HOSTILE, f"{MARK}2", "]]>"))
    assert report_html(card, figures).count(MARK) == 1
    assert "script" not in {tag for tag, _ in Page(report_html(card, figures)).tags}
    for piece in report_markdown(card, figures).values():
        assert "<script" not in piece and "[a](" not in piece and "\n# " not in piece


def test_equal_runs_give_equal_bytes() -> None:
    """Equal runs give the same page and pieces, with the same figures."""
    first, second = run(), run()
    assert report_html(*first) == report_html(*second)
    assert report_markdown(*first) == report_markdown(*second)


@pytest.mark.parametrize("classes", [2, 256])
def test_any_number_of_classes(classes: int) -> None:
    """Each of 2 to 256 classes has a row in the table, and the pieces stay small."""
    card, figures = run(classes)
    assert f"{classes} classes" in report_html(card, figures)
    pieces = report_markdown(card, figures)
    assert f"| {classes - 1} | " in pieces["metrics"]
    assert max(map(len, pieces.values())) < 150_000


@pytest.mark.parametrize(("threshold", "word"), [(0.5, "Passed"), (0.99, "Rejected")])
def test_verdict_is_in_words(threshold: float, word: str) -> None:
    """The page and the metrics say the verdict in a word, and the accuracy and its interval in percent."""
    card, figures = run(threshold=threshold)
    for text in report_html(card, figures), report_markdown(card, figures)["metrics"]:
        assert word in text and (word == "Passed" or card.verdict.reason[1:].split(",")[0] in text)
        assert "Accuracy 90.00% (95% interval 76.95% to 96.04%)" in text


def test_pieces_fit_prefect() -> None:
    """Keys match Prefect's [a-z0-9-], and no piece exceeds 150 kB even with large images of pure noise."""
    pieces = report_markdown(*run(classes=20, errors=40, side=150))
    expected = {
        "metrics",
        "learning-curves",
        "confusion-matrix",
        "mistakes",
        "champion",
        "lost-to-champion",
        "validation",
    }
    assert set(pieces) == expected
    assert all(re.fullmatch("[a-z0-9-]+", key) for key in pieces)
    assert max(len(piece.encode()) for piece in pieces.values()) < 150_000


def test_nothing_to_draw_is_said() -> None:
    """The report of a run without mistakes or epochs says so."""
    card, _ = run(errors=0)
    card = replace(card, history={}, data_report={"errors": [], "train": None}, champion=None)
    assert not card.mistakes
    figures = draw_figures(card)
    page = report_html(card, figures)
    assert "Every test image was predicted correctly." in page and "No epoch was recorded." in page
    assert "None." in report_markdown(card, figures)["mistakes"]


def test_classes_have_their_names() -> None:
    """Classes with names are called by them in tables, errors, mistakes and figures, in the page and in the pieces."""
    card, figures = run(names=("cat", "<dog>", "$5"))
    page, pieces = report_html(card, figures), report_markdown(card, figures)
    assert "cat read as &lt;dog&gt;: 2 images" in page and "model &lt;dog&gt;, 93.3%" in page
    assert "<dog>" not in page
    assert "cat as <dog>" in figures.confusion.alt
    assert "| cat |" in pieces["metrics"] and "true cat" in pieces["mistakes"]
