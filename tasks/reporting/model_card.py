"""The content of a report, the mistakes that it shows, and numbers as text."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from artifacts.storage.arrays import Labels, Probabilities, RawImages
from tasks.data.datasets import name_of
from tasks.evaluation.gate import Verdict
from tasks.evaluation.metrics import Bin, Evaluation

LEGIBLE_CLASSES = 20
"""Most classes for which a figure shows numbers and a table is open."""


class Mistake(NamedTuple):
    """A test image that was predicted as another class, with the probability in [0, 1] of the prediction."""

    index: int  # type: ignore[assignment]  # hides tuple.index, which is not used
    image: UInt8[np.ndarray, "height width"]
    truth: int
    predicted: int
    probability: float
    class_names: tuple[str, ...] = ()

    @property
    def caption(self) -> str:
        truth, predicted = (name_of(label, self.class_names) for label in (self.truth, self.predicted))
        return f"true {truth}, predicted {predicted} ({percent(self.probability, 1)})"


@dataclass(frozen=True)
class ModelCard:
    """The request and the results of a run. `history` has one value per epoch; `lineage` are digests by label.

    `champion` is its evaluation on the same images, and `lost` are images that only the champion got right; both are
    empty without a champion.
    """

    dataset: str
    recipe: str
    seed: int
    hyperparameters: dict[str, object]
    evaluation: Evaluation
    champion: Evaluation | None
    reliability: list[Bin]
    history: dict[str, list[float]]
    verdict: Verdict
    data_report: dict[str, object]
    lineage: dict[str, str]
    mistakes: list[Mistake]
    lost: list[Mistake]
    class_names: tuple[str, ...] = ()
    """By label; empty where classes are called by their numbers."""

    def name_of(self, label: int) -> str:
        """What people call a class."""
        return name_of(label, self.class_names)


def worst_mistakes(
    images: RawImages,
    labels: Labels,
    probabilities: Probabilities,
    *,
    among: np.ndarray | None = None,
    class_names: tuple[str, ...] = (),
) -> list[Mistake]:
    """The 24 most confident wrong predictions, most confident first; equally confident ones in the order of the images.

    `among` (n,) bool selects the images to consider.
    """
    predicted = probabilities.argmax(axis=1)
    wrong = np.flatnonzero((predicted != labels) & (True if among is None else among))
    worst = wrong[np.argsort(-probabilities[wrong, predicted[wrong]], kind="stable")[:24]]
    return [
        Mistake(
            int(i),
            images[i],
            int(labels[i]),
            int(predicted[i]),
            probability=float(probabilities[i].max()),
            class_names=class_names,
        )
        for i in worst
    ]


def frequent_errors(evaluation: Evaluation) -> list[tuple[int, int, int]]:
    """True class, predicted class and count of the ten most frequent errors."""
    errors = np.array(evaluation.confusion)
    np.fill_diagonal(errors, 0)
    order = np.argsort(-errors, axis=None, kind="stable")[:10]
    return [(int(i), int(j), int(errors[i, j])) for i, j in np.argwhere(errors >= 0)[order] if errors[i, j]]


def percent(share: float, digits: int = 2) -> str:
    """A share in [0, 1] as percent, with a no-break space before the sign."""
    return f"{100 * share:.{digits}f}\u00a0%"


def span(interval: tuple[float, float]) -> str:
    """Both ends of an interval of shares, as percent."""
    return " to ".join(map(percent, interval))
