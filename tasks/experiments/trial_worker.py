"""Try hyperparameters: fit on a part of the training images, score on the part that was held out.

Run as a module, this file is a process that does so for whoever asks; see `artifacts.children`. It imports no Prefect,
which would take it a second.
"""

import logging
import time
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel

from artifacts.errors import TrainingDiverged, UsageError
from artifacts.storage.settings import Settings
from artifacts.storage.store import Store
from tasks.data.datasets import Split
from tasks.evaluation.metrics import cross_entropy
from tasks.model.forward import probabilities
from tasks.model.hyperparameters import Hyperparameters
from tasks.training.fit import fit
from tasks.training.workers import serve

if TYPE_CHECKING:
    import keras


class TrialResult(BaseModel, frozen=True):
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


def attempt(
    train: Split,
    held_out: Split,
    hyperparameters: Hyperparameters,
    seed: int,
    floors: tuple[float, ...] | None,
    store: Store,
) -> TrialResult:
    """Fit on images (n, height, width, 1) and targets (n, classes), and score the held-out ones.

    With `floors`, the accuracy is measured after each epoch, and the trial given up once its best is below the floor
    of that epoch. Hyperparameters that cannot be trained are a result too: `failure` says why.
    """
    images, targets = store.get(held_out.images), store.get(held_out.labels)
    labels = targets.argmax(axis=1).astype(np.uint8)
    epochs: list[float] = []

    def watch(network: "keras.Model") -> None:
        epochs.append(float((probabilities(network, images).argmax(axis=1) == labels).mean()))
        if len(epochs) <= len(floors or ()) and max(epochs) < (floors or ())[len(epochs) - 1]:
            raise _GivenUp

    started = time.perf_counter()
    try:
        arrays = store.get(train.images), store.get(train.labels)
        network, _ = fit(*arrays, hyperparameters, seed, after_epoch=None if floors is None else watch)
    except _GivenUp:
        return TrialResult(epochs=tuple(epochs), seconds=time.perf_counter() - started)
    except (TrainingDiverged, UsageError) as error:
        return TrialResult(epochs=tuple(epochs), failure=str(error))
    seconds = time.perf_counter() - started
    guesses = probabilities(network, images)
    right = guesses.argmax(axis=1) == labels
    return TrialResult(
        accuracy=float(right.mean()),
        correct=int(right.sum()),
        loss=cross_entropy(guesses, labels),
        parameters=network.count_params(),
        seconds=round(seconds, 3),
        epochs=tuple(epochs),
    )


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """`attempt`, from JSON to JSON, in a process that forgets the networks before."""
    from tasks.model.keras_setup import keras

    keras.utils.clear_session()
    tried = attempt(
        Split.model_validate(request["train"]),
        Split.model_validate(request["held_out"]),
        Hyperparameters.model_validate(request["hyperparameters"]),
        request["seed"],
        request["floors"],
        Settings.load().artifacts,
    )
    return tried.model_dump(mode="json")


class _GivenUp(Exception):
    """The trial is below the floor of its epoch."""


def _main() -> None:
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # each new network is "retracing"
    serve(answer)


if __name__ == "__main__":
    _main()
