"""Run trials in a worker process. Run as a module, this file is that process; see `tasks.training.workers`."""

import logging
import time
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel

from artifacts.errors import TrainingDiverged, UsageError
from artifacts.storage.settings import Settings
from artifacts.storage.store import Store
from tasks.data.datasets import Split
from tasks.evaluation.metrics import cross_entropy
from tasks.model.forward import predict_probabilities
from tasks.model.hyperparameters import Hyperparameters
from tasks.training.fit import fit_network
from tasks.training.workers import Reply, Request, serve

if TYPE_CHECKING:
    import keras


class TrialResult(BaseModel, frozen=True):
    """The scores of hyperparameters on the held-out images. `seconds` is the time of the fit.

    `epochs` is the accuracy after each epoch, if it was measured. A trial without an `accuracy` was pruned, or failed
    for the reason in `failure`.
    """

    accuracy: float | None = None
    correct: int = 0
    loss: float | None = None
    parameters: int = 0
    seconds: float = 0
    epochs: tuple[float, ...] = ()
    failure: str = ""


def run_trial(
    train: Split,
    held_out: Split,
    hyperparameters: Hyperparameters,
    *,
    seed: int,
    pruning_thresholds: tuple[float, ...] | None,
    store: Store,
) -> TrialResult:
    """Fit on images (n, height, width, 1) and targets (n, classes), and score on the held-out ones.

    With `pruning_thresholds`, the accuracy is measured after each epoch, and the trial is pruned once its best accuracy
    is below the threshold of that epoch. A trial that cannot be trained is a result with a `failure`.
    """
    images, targets = store.get(held_out.images), store.get(held_out.labels)
    labels = targets.argmax(axis=1).astype(np.uint8)
    epochs: list[float] = []

    def prune(network: "keras.Model") -> None:
        epochs.append(float((predict_probabilities(network, images).argmax(axis=1) == labels).mean()))
        if max(epochs) < dict(enumerate(pruning_thresholds or (), 1)).get(len(epochs), 0.0):
            raise _Pruned

    started = time.perf_counter()
    try:
        arrays = store.get(train.images), store.get(train.labels)
        after_epoch = None if pruning_thresholds is None else prune
        network, _ = fit_network(*arrays, hyperparameters, seed=seed, after_epoch=after_epoch)
    except _Pruned:
        return TrialResult(epochs=tuple(epochs), seconds=time.perf_counter() - started)
    except (TrainingDiverged, UsageError) as error:
        return TrialResult(epochs=tuple(epochs), failure=str(error))
    seconds = round(time.perf_counter() - started, 3)
    scores = _score(network, images, labels)
    return scores.model_copy(update={"seconds": seconds, "epochs": tuple(epochs)})


def answer_trial(request: Request) -> Reply:
    """`run_trial`, from JSON to JSON."""
    from tasks.model.keras_setup import keras

    keras.utils.clear_session()  # frees the networks of earlier trials
    result = run_trial(
        Split.model_validate(request["train"]),
        Split.model_validate(request["held_out"]),
        Hyperparameters.model_validate(request["hyperparameters"]),
        seed=request["seed"],
        pruning_thresholds=request["pruning_thresholds"],
        store=Settings.load().artifacts,
    )
    return result.model_dump(mode="json")


class _Pruned(Exception):
    """The trial is below the pruning threshold of its epoch."""


def _score(network: "keras.Model", images: np.ndarray, labels: np.ndarray) -> TrialResult:
    probabilities = predict_probabilities(network, images)
    right = probabilities.argmax(axis=1) == labels
    return TrialResult(
        accuracy=float(right.mean()),
        correct=int(right.sum()),
        loss=cross_entropy(probabilities, labels),
        parameters=network.count_params(),
    )


def _main() -> None:
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # it warns of retracing with each new network
    serve(answer_trial)


if __name__ == "__main__":
    _main()
