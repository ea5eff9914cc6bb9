"""The report is whole, safe and equal for equal facts, whatever the run was like."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from tasks.evaluation.gate import Baseline, Gate, SmokeTest, decide
from tasks.evaluation.metrics import measure, reliability
from tasks.reporting.figures import Figures, draw
from tasks.reporting.model_card import ModelCard, mistakes
from tasks.reporting.page import render_html, render_markdown

HOSTILE = "<script src='https://evil.example/x.js'></script>\n# [a](http://evil.example) | `b`"
VOID = {"meta", "img", "br", "hr", "link", "input"}


class Page(HTMLParser):
    """Every tag with its attributes; fails where tags do not nest."""

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
    classes: int = 3, errors: int = 4, threshold: float = 0.5, dataset: str = "tiny", side: int = 28
) -> tuple[ModelCard, Figures]:
    """A run on noise whose first `errors` of 40 images, or twice as many as classes, are taken for the next class.

    The champion, version 7, is right on all.
    """
    generator = np.random.default_rng(0)
    labels = np.resize(np.arange(classes), max(40, 2 * classes)).astype(np.uint8)
    guesses = np.where(np.arange(len(labels)) < errors, (labels + np.intp(1)) % classes, labels)
    probabilities = np.full((len(labels), classes), 0.1 / classes, np.float32)
    probabilities[np.arange(len(labels)), guesses] += 0.9
    perfect = np.eye(classes, dtype=np.float32)[labels]
    evaluation = measure(probabilities, labels)
    problem = {"split": "train", "check": "duplicate", "message": "one image twice", "count": 1, "images": [7]}
    split = {"images": len(labels), "height": side, "width": side, "classes": np.bincount(labels).tolist()}
    images = generator.integers(0, 256, (len(labels), side, side), np.uint8)
    facts = ModelCard(
        dataset=dataset,
        recipe="tutorial",
        seed=42,
        hyperparameters={"epochs": 2, "layers": [32, 10], "augment": False},
        evaluation=evaluation,
        history={"loss": [1.2, 0.4], "accuracy": [0.6, 0.9], "learning_rate": [0.01, 0.01], "seconds": [3.1, 3.0]},
        champion=measure(perfect, labels),
        reliability=reliability(probabilities, labels),
        verdict=decide(
            Gate(min_accuracy=threshold, margin=0.5),
            evaluation,
            probabilities,
            labels,
            SmokeTest(weights_bytes=100, latency_ms=1.0, throughput=100.0),
            Baseline(version=7),
            perfect,
        ),
        data_report={"errors": [], "warnings": [problem], "train": split, "test": None},
        lineage={"weights": "ab" * 32},
        mistakes=mistakes(images, labels, probabilities),
        lost=mistakes(images, labels, probabilities, among=np.ones(len(labels), bool)),
    )
    return facts, draw(facts)


def test_page_loads_nothing() -> None:
    """The page nests, runs no script and loads nothing but the figures within it, each with words for it."""
    text = render_html(*run())
    page = Page(text)
    figures = [attributes for tag, attributes in page.tags if tag == "img"]
    assert len(figures) == 11
    assert all(str(figure["src"]).startswith("data:image/png;base64,") and figure["alt"] for figure in figures)
    assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in page.tags}
    assert not re.search(r"https?:|url\(|@import", text)


def test_table_headers_have_scope() -> None:
    """Each header cell says whether it heads a row or a column."""
    headers = [attributes for tag, attributes in Page(render_html(*run())).tags if tag == "th"]
    assert {header.get("scope") for header in headers} == {"row", "col"}


def test_hostile_names_stay_text() -> None:
    """A data set's name is shown as text, neither run as HTML nor read as Markdown."""
    facts, figures = run(dataset=HOSTILE)
    assert "script" not in {tag for tag, _ in Page(render_html(facts, figures)).tags}
    for piece in render_markdown(facts, figures).values():
        assert "<script" not in piece and "[a](" not in piece and "\n# " not in piece


def test_equal_facts_give_equal_bytes() -> None:
    """The same facts give the same page and pieces, figures included."""
    first, second = run(), run()
    assert render_html(*first) == render_html(*second)
    assert render_markdown(*first) == render_markdown(*second)


def test_worst_mistakes_come_first() -> None:
    """Only wrong predictions are listed: the most confident first, equally confident ones in their own order."""
    probabilities = np.array([[0.4, 0.6], [0.1, 0.9], [0.8, 0.2], [0.4, 0.6], [0.3, 0.7]], np.float32)
    labels = np.array([0, 1, 1, 0, 0], np.uint8)
    images = np.zeros((5, 2, 2), np.uint8)
    assert [mistake.index for mistake in mistakes(images, labels, probabilities)] == [2, 4, 0, 3]
    among = np.array([True, True, False, False, True])
    assert [mistake.index for mistake in mistakes(images, labels, probabilities, among)] == [4, 0]


@pytest.mark.parametrize("classes", [2, 256])
def test_any_number_of_classes(classes: int) -> None:
    """From 2 to 256 classes, each has its row in the table, and the pieces stay small."""
    facts, figures = run(classes)
    assert f"{classes} classes" in render_html(facts, figures)
    pieces = render_markdown(facts, figures)
    assert f"| {classes - 1} | " in pieces["metrics"]
    assert max(map(len, pieces.values())) < 150_000


@pytest.mark.parametrize(("threshold", "word"), [(0.5, "Passed"), (0.99, "Rejected")])
def test_verdict_is_in_words(threshold: float, word: str) -> None:
    """Page and metrics begin with the verdict as a word, beside the accuracy and its interval in percent."""
    facts, figures = run(threshold=threshold)
    for text in render_html(facts, figures), render_markdown(facts, figures)["metrics"]:
        assert f"{word}: " in text
        assert "Accuracy 90.00\u00a0% (95\u00a0% interval 76.95\u00a0% to 96.04\u00a0%)" in text


def test_pieces_fit_prefect() -> None:
    """Keys are Prefect's [a-z0-9-], and no piece exceeds 150 kB even with large images of pure noise."""
    pieces = render_markdown(*run(classes=20, errors=40, side=150))
    told = {"metrics", "learning-curves", "confusion-matrix", "mistakes", "champion", "lost-to-champion", "validation"}
    assert set(pieces) == told
    assert all(re.fullmatch("[a-z0-9-]+", key) for key in pieces)
    assert max(len(piece.encode()) for piece in pieces.values()) < 150_000


def test_nothing_to_draw_is_said() -> None:
    """A run without mistakes or epochs is reported all the same."""
    facts, _ = run(errors=0)
    facts = replace(facts, history={}, data_report={"errors": [], "train": None}, champion=None)
    assert not facts.mistakes
    figures = draw(facts)
    page = render_html(facts, figures)
    assert "No test image was taken for another class." in page and "No epoch was recorded." in page
    assert "None." in render_markdown(facts, figures)["mistakes"]
