"""Fit the network that hyperparameters describe, the same way wherever it is trained."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from artifacts.errors import TrainingDiverged
from artifacts.lineage.progress import report_progress
from artifacts.storage.arrays import Images, Rows, Targets
from tasks.model.hyperparameters import Hyperparameters
from tasks.training.checkpoints import Checkpoints, History, Progress

if TYPE_CHECKING:
    import keras

PROBE = 5000
"""Training images on which the accuracy of each epoch is measured; measuring it on every step costs a fifth."""


def fit(
    images: Images,
    targets: Targets,
    hyperparameters: Hyperparameters,
    seed: int,
    kept: Checkpoints | None = None,
    after_epoch: "Callable[[keras.Model], None] | None" = None,
) -> "tuple[keras.Model, History]":
    """A trained network, and for each epoch its mean `loss` (nats) and its `accuracy` on PROBE training images.

    The seed decides initial weights, order, augmentation and dropout. What `kept` holds is gone on from, to the same
    bytes as without an interruption. Raises TrainingDiverged if the loss is no longer finite.
    """
    from tasks.model.network import build, compile_for_training, distributed

    hp, steps = hyperparameters, math.ceil(len(images) / hyperparameters.batch_size)
    with distributed() as devices:
        network = build(hp, images.shape[1:], targets.shape[1], seed, training=True)
        compile_for_training(network, hp, steps)
        network.optimizer.build(network.trainable_variables)
        so_far = kept.restore(network) if kept else Progress()
        while so_far.epoch < hp.epochs:
            order = np.random.default_rng((seed, so_far.epoch)).permutation(len(images))
            batches = _batches(images, targets, order[so_far.batch * hp.batch_size :], hp.batch_size, devices)
            watch = _watch(so_far, len(images), hp, kept)
            fitted = network.fit(batches, verbose=0, shuffle=False, callbacks=[watch])
            loss = _finite(_mean(so_far, fitted.history["loss"][-1], hp.batch_size, len(images)), so_far.epoch)
            accuracy = _accuracy(network, images, targets)
            so_far = so_far.after_epoch(loss, accuracy)
            if kept:
                kept.save(network, so_far)
            report_progress("train", done=so_far.epoch, total=hp.epochs, loss=loss, accuracy=accuracy)
            if after_epoch:
                after_epoch(network)
    weights = network.get_weights()
    if not all(np.isfinite(weight).all() for weight in weights):
        raise TrainingDiverged("the last update left weights that are no numbers; lower --learning-rate")
    plain = build(hp, images.shape[1:], targets.shape[1])
    plain.set_weights(weights)
    return plain, so_far.history


def _watch(so_far: Progress, count: int, hp: Hyperparameters, kept: Checkpoints | None) -> "keras.callbacks.Callback":
    from tasks.model.keras_setup import keras

    def show(last: int, logs: dict[str, Any]) -> None:
        batch = so_far.batch + last + 1
        done = min(batch * hp.batch_size, count)
        loss = _mean(so_far, float(logs["loss"]), hp.batch_size, done)
        report_progress("train", done=so_far.epoch + done / count, total=hp.epochs, loss=loss)
        if kept and done < count and kept.is_due():
            kept.save(watch.model, so_far.model_copy(update={"batch": batch, "loss": loss}))

    watch = keras.callbacks.LambdaCallback(on_train_batch_end=show)
    return watch


def _mean(so_far: Progress, loss: float, batch_size: int, done: int) -> float:
    """The mean loss of the first `done` images of an epoch, of which `loss` is that since the checkpoint."""
    before = so_far.batch * batch_size
    return (so_far.loss * before + loss * (done - before)) / done


def _finite(loss: float, epoch: int) -> float:
    if not math.isfinite(loss):
        raise TrainingDiverged(f"the loss became {loss} in epoch {epoch + 1}; lower --learning-rate, or check the data")
    return round(loss, 5)  # what a resumed epoch, whose mean is made of two, agrees to


def _accuracy(network: "keras.Model", images: Images, targets: Targets) -> float:
    from tasks.model.forward import probabilities

    guesses = probabilities(network, images[:PROBE]).argmax(axis=1)
    return float((guesses == targets[:PROBE].argmax(axis=1)).mean())


def _batches(images: Images, targets: Targets, order: np.ndarray, size: int, devices: int) -> Any:
    """One pass over the images in the given order, read batch by batch.

    Devices share each batch evenly; where it does not divide, its first images are taken twice.
    """
    from tasks.model.keras_setup import keras

    rows = Rows(images)

    class Batches(keras.utils.PyDataset):  # type: ignore[misc]
        def __len__(self) -> int:
            return math.ceil(len(order) / size)

        def __getitem__(self, i: int) -> tuple[np.ndarray, np.ndarray]:
            chosen = order[i * size : (i + 1) * size]
            chosen = np.sort(np.concatenate([chosen, chosen[: -len(chosen) % devices]]))  # sorted: sequential reads
            return rows[chosen], targets[chosen]

    batches = Batches()
    return _prefetched(batches) if keras.backend.backend() == "tensorflow" else batches


def _prefetched(batches: "keras.utils.PyDataset") -> Any:
    """The same batches, each read while TensorFlow computes on the one before.

    Keras would do so with tf.data's autotuner, which now and then misses that it shall stop, and holds the end of an
    epoch until it wakes: up to 2.5 s in a fit of 5 s.
    """
    import tensorflow as tf

    like = [tf.TensorSpec((None, *array.shape[1:]), array.dtype) for array in batches[0]]

    def read(i: Any) -> tuple[Any, ...]:
        arrays = tf.numpy_function(lambda i: batches[int(i)], [i], [spec.dtype for spec in like], stateful=False)
        return tuple(tf.ensure_shape(array, spec.shape) for array, spec in zip(arrays, like, strict=True))

    options = tf.data.Options()
    options.autotune.enabled = False
    return tf.data.Dataset.range(len(batches)).map(read).prefetch(2).with_options(options)
