"""What the steps hand to each other: references, never arrays or models."""

from typing import NamedTuple

from pydantic import BaseModel

from artifacts.datasets import Split, Splits
from artifacts.hyperparameters import Hyperparameters
from artifacts.store import Ref


class Validated(BaseModel, frozen=True):
    """Data that keep their contract, and the report that says so (a `contracts.DataReport` as JSON)."""

    data: Splits
    report: Ref


class Merged(BaseModel, frozen=True):
    """Data with what arrived later, and the held-out part of that, if any."""

    data: Splits
    fresh: Split | None


class Pair(BaseModel, frozen=True):
    """One array for each split."""

    train: Ref
    test: Ref


class Trained(BaseModel, frozen=True):
    """Weights of the last epoch (Keras `.weights.h5`), and one list per epoch series as JSON."""

    weights: Ref
    history: Ref


class Tried(BaseModel, frozen=True):
    """What hyperparameters came to on held-out training images. `seconds` are those of the fit.

    `epochs` has the accuracy after each epoch, if that was asked for. Without an `accuracy`, the trial was given up, or
    could not be made, as `failure` says.
    """

    accuracy: float | None = None
    correct: int = 0
    loss: float | None = None
    parameters: int = 0
    seconds: float = 0
    epochs: tuple[float, ...] = ()
    failure: str = ""


class Scored(BaseModel, frozen=True):
    """An `Evaluation` as JSON, and the probabilities (n, classes) float32 that it was made from."""

    evaluation: Ref
    probabilities: Ref


class Saved(BaseModel, frozen=True):
    """Weights that work in a fresh process, and how they did there (a `gate.Rehearsal` as JSON)."""

    weights: Ref
    rehearsal: Ref


class Opponent(BaseModel, frozen=True):
    """What a candidate is held against: the champion, or `absence` says why nothing.

    `decisions` counts the candidates that the same test images have judged before.
    """

    version: int | None = None
    weights: Ref | None = None
    hyperparameters: Hyperparameters | None = None
    absence: str = ""
    decisions: int = 0


class Reported(BaseModel, frozen=True):
    """The report as one HTML page, and its parts as Markdown (JSON: key to text) for Prefect's UI."""

    html: Ref
    markdown: Ref


class Results(NamedTuple):
    """What the steps of a run came to; foretold, not all of these are what they will be."""

    validated: Validated
    images: Pair
    trained: Trained
    scored: Scored
    saved: Saved
    opponent: Opponent
    verdict: Ref
    report: Reported
