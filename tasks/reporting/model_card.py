"""What a report is about: the facts of a run, the mistakes of its network, and how shares are put in words."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from artifacts.storage.arrays import Labels, Probabilities, RawImages
from tasks.evaluation.gate import Verdict
from tasks.evaluation.metrics import Bin, Evaluation

LEGIBLE_CLASSES = 20


class Mistake(NamedTuple):
    """A test image that was taken for another class, with the probability in [0, 1] that the guess was given."""

    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody needs here
    image: UInt8[np.ndarray, "height width"]
    truth: int
    guess: int
    probability: float

    @property
    def caption(self) -> str:
        return f"true {self.truth}, taken for {self.guess} ({percent(self.probability, 1)})"


@dataclass(frozen=True)
class ModelCard:
    """What a run was asked for and what came of it. `history` has one value per epoch, `lineage` digests by label;
    `champion` and `lost`, images that it got right and the candidate wrong, are there if one was held against it.
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


def mistakes(
    images: RawImages, labels: Labels, probabilities: Probabilities, among: np.ndarray | None = None
) -> list[Mistake]:
    """24 wrong predictions, the most confident first; equally confident ones in their own order.

    `among` (n,) bool limits them to some images.
    """
    guesses = probabilities.argmax(axis=1)
    wrong = np.flatnonzero((guesses != labels) & (True if among is None else among))
    worst = wrong[np.argsort(-probabilities[wrong, guesses[wrong]], kind="stable")[:24]]
    return [Mistake(int(i), images[i], int(labels[i]), int(guesses[i]), float(probabilities[i].max())) for i in worst]


def frequent_errors(evaluation: Evaluation) -> list[tuple[int, int, int]]:
    """(true class, guessed class, count) of the ten most frequent errors."""
    errors = np.array(evaluation.confusion)
    np.fill_diagonal(errors, 0)
    order = np.argsort(-errors, axis=None, kind="stable")[:10]
    return [(int(i), int(j), int(errors[i, j])) for i, j in np.argwhere(errors >= 0)[order] if errors[i, j]]


def percent(share: float, digits: int = 2) -> str:
    """A share in [0, 1] as percent that do not break from their sign."""
    return f"{100 * share:.{digits}f}\u00a0%"


def span(interval: tuple[float, float]) -> str:
    """Both ends of an interval of shares."""
    return " to ".join(map(percent, interval))
