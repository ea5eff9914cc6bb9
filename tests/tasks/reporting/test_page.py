"""The report of any run is complete and safe, and equal runs give equal bytes."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from tasks.evaluation.checks import apply_gate
from tasks.evaluation.gate import Baseline, Gate, SmokeTest
from tasks.evaluation.metrics import measure, reliability_bins
from tasks.reporting.figures import Figures, draw_figures
from tasks.reporting.model_card import ModelCard, worst_mistakes
from tasks.reporting.page import report_html, report_markdown

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


def named(card: ModelCard, names: tuple[str, ...]) -> ModelCard:
    mistakes = [mistake._replace(class_names=names) for mistake in card.mistakes]
    return replace(card, class_names=names, mistakes=mistakes)


def run(
    classes: int = 3, errors: int = 4, threshold: float = 0.5, dataset: str = "tiny", side: int = 28
) -> tuple[ModelCard, Figures]:
    """A run on noise with 40 images, or two per class if that is more; the first `errors` predictions are wrong.

    The champion, version 7, predicts all images correctly.
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
    card = ModelCard(
        dataset=dataset,
        recipe="tutorial",
        seed=42,
        hyperparameters={"epochs": 2, "layers": [32, 10], "augment": False},
        evaluation=evaluation,
        history={"loss": [1.2, 0.4], "accuracy": [0.6, 0.9], "learning_rate": [0.01, 0.01], "seconds": [3.1, 3.0]},
        champion=measure(perfect, labels),
        reliability=reliability_bins(probabilities, labels),
        verdict=apply_gate(
            Gate(min_accuracy=threshold, margin=0.5),
            evaluation,
            probabilities,
            labels=labels,
            smoke_test=SmokeTest(weights_bytes=100, latency_ms=1.0, throughput=100.0),
            baseline=Baseline(version=7),
            baseline_probabilities=perfect,
        ),
        data_report={"errors": [], "warnings": [problem], "train": split, "test": None},
        lineage={"weights": "ab" * 32},
        mistakes=worst_mistakes(images, labels, probabilities),
        lost=worst_mistakes(images, labels, probabilities, among=np.ones(len(labels), bool)),
    )
    return card, draw_figures(card)


def test_page_loads_nothing() -> None:
    """The tags of the page nest; it runs no script and loads nothing; each figure is in it, with a description."""
    text = report_html(*run())
    page = Page(text)
    figures = [attributes for tag, attributes in page.tags if tag == "img"]
    assert len(figures) == 11
    assert all(str(figure["src"]).startswith("data:image/png;base64,") and figure["alt"] for figure in figures)
    assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in page.tags}
    assert not re.search(r"https?:|url\(|@import", text)


def test_table_headers_have_scope() -> None:
    """Each header cell says whether it is the header of a row or of a column."""
    headers = [attributes for tag, attributes in Page(report_html(*run())).tags if tag == "th"]
    assert {header.get("scope") for header in headers} == {"row", "col"}


def test_hostile_names_stay_text() -> None:
    """The name of a data set is shown as text; it is neither HTML nor Markdown."""
    card, figures = run(dataset=HOSTILE)
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
        assert f"{word}: " in text
        assert "Accuracy 90.00\u00a0% (95\u00a0% interval 76.95\u00a0% to 96.04\u00a0%)" in text


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
    card, _ = run()
    card = named(card, ("cat", "<dog>", "$5"))
    figures = draw_figures(card)
    page, pieces = report_html(card, figures), report_markdown(card, figures)
    assert "cat predicted as &lt;dog&gt;: 2 images" in page and "true cat, predicted &lt;dog&gt;" in page
    assert "cat as <dog>" in figures.confusion.alt
    assert "| cat |" in pieces["metrics"] and "true cat" in pieces["mistakes"]
    assert draw_figures(card).confusion.png == figures.confusion.png
