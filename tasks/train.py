"""Fit the network that hyperparameters describe."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from artifacts.arrays import Images, Targets
from artifacts.errors import TrainingDiverged
from artifacts.hyperparameters import Hyperparameters
from artifacts.progress import tell
from artifacts.results import Trained
from artifacts.store import Ref, Store
from tasks.caching import step

if TYPE_CHECKING:
    import keras

PROBE = 5000
"""Training images on which the accuracy of each epoch is measured; measuring it on every step costs a fifth."""

History = dict[str, list[float]]


@step("train", shaped_by=("keras", "tensorflow", "numpy"))
def train(images: Ref, targets: Ref, hyperparameters: Hyperparameters, seed: int, store: Store) -> Trained:
    """Train on images (n, height, width, 1) and targets (n, classes); keep the weights of the last epoch."""
    from artifacts.network import build

    network, history = fit(store.get(images), store.get(targets), hyperparameters, seed)
    bare = build(hyperparameters, images.shape[1:], targets.shape[1])  # without the optimiser, two thirds of the file
    bare.set_weights(network.get_weights())
    with store.scratch() as folder:
        path = folder / "network.weights.h5"
        bare.save_weights(path)
        weights = store.put_bytes(path.read_bytes(), "weights.h5")
    return Trained(weights=weights, history=store.put_json(history))


def fit(
    images: Images,
    targets: Targets,
    hyperparameters: Hyperparameters,
    seed: int,
    after_epoch: "Callable[[keras.Model], None] | None" = None,
) -> "tuple[keras.Model, History]":
    """A trained network and, for each epoch, its mean `loss` (nats) and its `accuracy` on PROBE training images.

    The seed decides initial weights, order and dropout. Raises TrainingDiverged if the loss is no longer finite.
    """
    from artifacts.network import build, compile_for_training

    hp = hyperparameters
    network = build(hp, images.shape[1:], targets.shape[1], seed)
    compile_for_training(network, hp, math.ceil(len(images) / hp.batch_size))
    history: History = {"loss": [], "accuracy": []}
    for epoch in range(hp.epochs):
        order = np.random.default_rng((seed, epoch)).permutation(len(images))
        batches = _batches(images, targets, order, hp.batch_size)
        watch = _watch(epoch, len(batches), hp.epochs)
        fitted = network.fit(
            batches, initial_epoch=epoch, epochs=epoch + 1, verbose=0, shuffle=False, callbacks=[watch]
        )
        _note(history, fitted.history["loss"][-1], _accuracy(network, images, targets))
        tell("train", done=epoch + 1, total=hp.epochs, loss=history["loss"][-1], accuracy=history["accuracy"][-1])
        if after_epoch:
            after_epoch(network)
    if not all(np.isfinite(weight).all() for weight in network.get_weights()):
        raise TrainingDiverged("the last update left weights that are no numbers; lower --learning-rate")
    return network, history


def _watch(epoch: int, steps: int, epochs: int) -> "keras.callbacks.Callback":
    from artifacts.backend import keras

    def show(done: int, logs: dict[str, Any]) -> None:
        tell("train", done=epoch + done / steps, total=epochs, loss=float(logs["loss"]))

    return keras.callbacks.LambdaCallback(on_train_batch_end=show)


def _note(history: History, loss: float, accuracy: float) -> None:
    if not math.isfinite(loss):
        raise TrainingDiverged(
            f"the loss became {loss} in epoch {len(history['loss']) + 1}; lower --learning-rate, or check the data"
        )
    history["loss"].append(round(float(loss), 6))
    history["accuracy"].append(accuracy)


def _accuracy(network: "keras.Model", images: Images, targets: Targets) -> float:
    from artifacts.prediction import probabilities

    guesses = probabilities(network, images[:PROBE]).argmax(axis=1)
    return float((guesses == targets[:PROBE].argmax(axis=1)).mean())


def _batches(images: Images, targets: Targets, order: np.ndarray, size: int) -> Any:
    """One pass over the images in the given order, read batch by batch from their memory maps."""
    from artifacts.backend import keras

    class Batches(keras.utils.PyDataset):  # type: ignore[misc]
        def __len__(self) -> int:
            return math.ceil(len(order) / size)

        def __getitem__(self, i: int) -> tuple[np.ndarray, np.ndarray]:
            chosen = np.sort(order[i * size : (i + 1) * size])  # sorted: sequential reads
            return images[chosen], targets[chosen]

    return Batches()
