"""What a report is about: the facts of a run, the mistakes of its network, and how shares are put in words."""

from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8
from pydantic import BaseModel, ConfigDict

from artifacts.arrays import Labels, Probabilities
from artifacts.evaluation import Evaluation
from artifacts.gate import Verdict

LEGIBLE_CLASSES = 20


class Facts(BaseModel):
    """What a run was asked for and what came of it. `history` has one value per epoch, `lineage` digests by label."""

    model_config = ConfigDict(frozen=True)

    dataset: str
    recipe: str
    seed: int
    hyperparameters: dict[str, object]
    evaluation: Evaluation
    history: dict[str, list[float]]
    verdict: Verdict
    data_report: dict[str, object]
    lineage: dict[str, str]


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


def worst_mistakes(probabilities: Probabilities, labels: Labels) -> np.ndarray:
    """Indices of 24 wrong predictions, the most confident first; equally confident ones in their own order."""
    guesses = probabilities.argmax(axis=1)
    wrong = np.flatnonzero(guesses != labels)
    return wrong[np.argsort(-probabilities[wrong, guesses[wrong]], kind="stable")[:24]]


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
