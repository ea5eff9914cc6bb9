"""Try hyperparameters: fit on a part of the training images, score on the part that was held out.

Run as a module, this file is a process that does so for whoever asks; see `artifacts.children`. It imports no Prefect,
which would take it a second.
"""

import logging
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from artifacts.children import serve
from artifacts.datasets import Split
from artifacts.errors import TrainingDiverged, UsageError
from artifacts.evaluation import cross_entropy
from artifacts.fitting import fit
from artifacts.hyperparameters import Hyperparameters
from artifacts.prediction import probabilities
from artifacts.results import Tried
from artifacts.settings import Settings
from artifacts.store import Store

if TYPE_CHECKING:
    import keras


def attempt(
    train: Split,
    held_out: Split,
    hyperparameters: Hyperparameters,
    seed: int,
    floors: tuple[float, ...] | None,
    store: Store,
) -> Tried:
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
        return Tried(epochs=tuple(epochs), seconds=time.perf_counter() - started)
    except (TrainingDiverged, UsageError) as error:
        return Tried(epochs=tuple(epochs), failure=str(error))
    seconds = time.perf_counter() - started
    guesses = probabilities(network, images)
    right = guesses.argmax(axis=1) == labels
    return Tried(
        accuracy=float(right.mean()),
        correct=int(right.sum()),
        loss=cross_entropy(guesses, labels),
        parameters=network.count_params(),
        seconds=round(seconds, 3),
        epochs=tuple(epochs),
    )


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """`attempt`, from JSON to JSON, in a process that forgets the networks before."""
    from artifacts.backend import keras

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
