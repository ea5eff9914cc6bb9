"""The content of a report, the images that it shows, and numbers as text."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from artifacts.storage.arrays import Labels, Probabilities, RawImages, UInt8
from tasks.data.datasets import name_of
from tasks.evaluation.gate import Verdict
from tasks.evaluation.metrics import Bin, Evaluation
from tasks.evaluation.paired_tests import PairedCounts

LEGIBLE_CLASSES = 20
"""Most classes for which a figure shows numbers and a table is open."""
BINS = 15
"""Bins of confidence, of equal width."""
MISTAKES, CHANGED, SAMPLES = 12, 12, 8
"""Most images of the mistakes, most that changed to one side, and samples of each class."""


class Answer(NamedTuple):
    """A class that a model reads in an image, and its probability in [0, 1]."""

    label: int
    probability: float


class Example(NamedTuple):
    """A test image with its true class, and what the model and the champion, if there is one, read in it."""

    index: int  # type: ignore[assignment]  # hides tuple.index, which is not used
    image: UInt8[np.ndarray, "height width"]
    truth: int
    model: Answer
    champion: Answer | None = None


class Changes(NamedTuple):
    """The test images that only one model got right: how many, and some that were lost and gained."""

    counts: PairedCounts
    lost: list[Example]
    gained: list[Example]


class Champion(NamedTuple):
    """The champion on the same images, and which images changed sides."""

    evaluation: Evaluation
    calibration_error: float
    hyperparameters: Mapping[str, object]
    changes: Changes


class Sample(NamedTuple):
    """Some images of a class, side by side."""

    label: int
    images: UInt8[np.ndarray, "height width"]


@dataclass(frozen=True)
class ModelCard:
    """The request and the results of a run. `history` has one value per epoch; `lineage` are digests by label.

    `learning_rates` are equally spaced over the training. `parameters` are those of the network,
    and `weights_bytes` the size of their file. `few_steps` says that the network learned in few steps, if it did.
    """

    dataset: str
    recipe: str
    seed: int
    hyperparameters: Mapping[str, object]
    recipe_hyperparameters: Mapping[str, object]
    evaluation: Evaluation
    champion: Champion | None
    reliability: list[Bin]
    calibration_error: float
    history: dict[str, list[float]]
    learning_rates: list[float]
    verdict: Verdict
    parameters: int
    weights_bytes: int
    data_report: dict[str, object]
    lineage: dict[str, str]
    mistakes: list[Example]
    samples: list[Sample]
    class_names: tuple[str, ...] = ()
    """By label; empty where classes are called by their numbers."""
    few_steps: str = ""

    @property
    def is_changed(self) -> bool:
        """Whether hyperparameters differ from the recipe's own."""
        return dict(self.hyperparameters) != dict(self.recipe_hyperparameters)

    def name_of(self, label: int) -> str:
        """What people call a class."""
        return name_of(label, self.class_names)

    def class_counts(self, split: str) -> list[int]:
        """The number of images of each class in the split "train" or "test"; empty if it was not counted."""
        summary = self.data_report.get(split)
        return list(summary.get("classes", ())) if isinstance(summary, Mapping) else []

    def readings(self, example: Example) -> list[str]:
        """What an image shows and what the models read in it, a clause for each."""
        answers = [("model", example.model), ("champion", example.champion)]
        clauses = [f"{who} {self.name_of(of.label)}, {percent(of.probability, 1)}" for who, of in answers if of]
        return [f"true {self.name_of(example.truth)}", *clauses, f"test image {example.index}"]


def worst_mistakes(
    images: RawImages, labels: Labels, probabilities: Probabilities, champion: Probabilities | None = None
) -> list[Example]:
    """The most confident wrong predictions, most confident first; equally confident ones in the order of the images.

    There are enough to show MISTAKES beside those that are shown because they changed sides.
    """
    wrong = probabilities.argmax(axis=1) != labels
    return _examples(images, labels, probabilities, champion, which=wrong, by=probabilities)[: MISTAKES + CHANGED]


def changed_sides(images: RawImages, labels: Labels, probabilities: Probabilities, champion: Probabilities) -> Changes:
    """The images that only one of two models got right; first those in which the other was most confident."""
    right, was_right = probabilities.argmax(axis=1) == labels, champion.argmax(axis=1) == labels
    lost = _examples(images, labels, probabilities, champion, which=was_right & ~right, by=probabilities)
    gained = _examples(images, labels, probabilities, champion, which=right & ~was_right, by=champion)
    return Changes(PairedCounts(len(gained), len(lost), len(labels)), lost[:CHANGED], gained[:CHANGED])


def _examples(
    images: RawImages,
    labels: Labels,
    probabilities: Probabilities,
    champion: Probabilities | None,
    *,
    which: np.ndarray,
    by: Probabilities,
) -> list[Example]:
    """The images selected by `which` (n,) bool, first those with the highest probability of `by`."""
    chosen = np.flatnonzero(which)
    order = chosen[np.argsort(-by[chosen].max(axis=1), kind="stable")]

    def answer(of: Probabilities, i: int) -> Answer:
        return Answer(int(of[i].argmax()), float(of[i].max()))

    return [
        Example(
            i,
            images[i],
            int(labels[i]),
            answer(probabilities, i),
            None if champion is None else answer(champion, i),
        )
        for i in order.tolist()
    ]


def class_samples(images: RawImages, labels: Labels) -> list[Sample]:
    """The first SAMPLES images of each class, side by side; of at most LEGIBLE_CLASSES classes."""
    found = [(int(label), images[np.flatnonzero(labels == label)[:SAMPLES]]) for label in np.unique(labels)]
    return [Sample(label, np.concatenate(list(of), axis=1)) for label, of in found[:LEGIBLE_CLASSES]]


def frequent_errors(evaluation: Evaluation) -> list[tuple[int, int, int]]:
    """True class, predicted class and count of the ten most frequent errors."""
    errors = np.array(evaluation.confusion)
    np.fill_diagonal(errors, 0)
    order = np.argsort(-errors, axis=None, kind="stable")[:10]
    return [(int(i), int(j), int(errors[i, j])) for i, j in np.argwhere(errors >= 0)[order] if errors[i, j]]


def percent(share: float, digits: int = 2) -> str:
    """A share in [0, 1] as percent, with a no-break space before the sign."""
    return f"{100 * share:.{digits}f}%"


def signed(value: float | int, digits: int = 2) -> str:
    """A number with its sign."""
    return f"{value:+.{digits}f}".replace("-", "\u2212")


def span(interval: tuple[float, float]) -> str:
    """Both ends of an interval of shares, as percent."""
    return " to ".join(map(percent, interval))
