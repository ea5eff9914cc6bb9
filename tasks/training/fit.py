"""Fit the network that hyperparameters describe. Every training in the project goes through `fit_network`."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from artifacts.errors import TrainingDiverged
from artifacts.lineage.progress import report_progress
from artifacts.storage.arrays import Float32, Images, Rows, Targets
from tasks.model.hyperparameters import Hyperparameters
from tasks.training.checkpoints import Checkpoints, History, Progress

if TYPE_CHECKING:
    import keras

PROBE = 5000
"""Training images on which each epoch's accuracy is measured. Measuring it on every step would cost a fifth."""


def fit_network(
    images: Images,
    targets: Targets,
    hyperparameters: Hyperparameters,
    *,
    seed: int,
    checkpoints: Checkpoints | None = None,
    after_epoch: "Callable[[keras.Model], None] | None" = None,
) -> "tuple[keras.Model, History]":
    """A trained network, and for each epoch its mean `loss` (nats) and its `accuracy` on PROBE training images.

    The seed decides initial weights, order of the images, augmentation and dropout. A training that continues from a
    checkpoint ends in the same bytes as one that was never interrupted. Raises TrainingDiverged if the loss or a weight
    is not finite.
    """
    from tasks.model.network import build_network, compile_for_training, distributed

    hp, shape, classes = hyperparameters, images.shape[1:], targets.shape[1]
    with distributed() as devices:
        network = build_network(hp, shape, classes, seed=seed, training=True)
        compile_for_training(network, hp, math.ceil(len(images) / hp.batch_size))
        network.optimizer.build(network.trainable_variables)
        progress = checkpoints.restore(network) if checkpoints else Progress()
        arrays = (targets, _image_weights(targets)) if hp.class_weight == "balanced" else (targets,)
        while progress.epoch < hp.epochs:
            order = np.random.default_rng((seed, progress.epoch)).permutation(len(images))
            rest = order[progress.batch * hp.batch_size :]
            batches = _batches(images, arrays, rest, size=hp.batch_size, devices=devices)
            loss = _fit_epoch(network, batches, progress, count=len(images), hp=hp, checkpoints=checkpoints)
            accuracy = _accuracy(network, images, targets)
            progress = progress.after_epoch(loss, accuracy)
            if checkpoints:
                checkpoints.save(network, progress)
            report_progress("train", done=progress.epoch, total=hp.epochs, loss=loss, accuracy=accuracy)
            if after_epoch:
                after_epoch(network)
    return _without_training_layers(network, hp, shape, classes), progress.history


def _fit_epoch(
    network: "keras.Model",
    batches: Any,
    progress: Progress,
    *,
    count: int,
    hp: Hyperparameters,
    checkpoints: Checkpoints | None,
) -> float:
    """Fit the rest of an epoch of `count` images, and return the mean loss of the whole epoch."""
    from tasks.model.keras_setup import keras

    def after_batch(last: int, logs: dict[str, Any]) -> None:
        batch = progress.batch + last + 1
        done = min(batch * hp.batch_size, count)
        loss = _mean_loss(progress, float(logs["loss"]), hp.batch_size, done)
        report_progress("train", done=progress.epoch + done / count, total=hp.epochs, loss=loss)
        if checkpoints and done < count and checkpoints.is_due():
            checkpoints.save(network, progress.model_copy(update={"batch": batch, "loss": loss}))

    callback = keras.callbacks.LambdaCallback(on_train_batch_end=after_batch)
    fitted = network.fit(batches, verbose=0, shuffle=False, callbacks=[callback])
    loss = _mean_loss(progress, fitted.history["loss"][-1], hp.batch_size, count)
    if not math.isfinite(loss):
        raise TrainingDiverged(
            f"the loss became {loss} in epoch {progress.epoch + 1}; lower --learning-rate, or check the data"
        )
    return round(loss, 5)  # of a resumed epoch, a mean of two means: these digits equal an uninterrupted one's


def _mean_loss(progress: Progress, loss: float, batch_size: int, done: int) -> float:
    """The mean loss of the first `done` images of an epoch; `loss` is the mean since the checkpoint."""
    before = progress.batch * batch_size
    return (progress.loss * before + loss * (done - before)) / done


def _accuracy(network: "keras.Model", images: Images, targets: Targets) -> float:
    from tasks.model.forward import predict_probabilities

    predicted = predict_probabilities(network, images[:PROBE]).argmax(axis=1)
    return float((predicted == targets[:PROBE].argmax(axis=1)).mean())


def _without_training_layers(
    network: "keras.Model", hp: Hyperparameters, shape: tuple[int, ...], classes: int
) -> "keras.Model":
    """The network for prediction with the same weights. Raises TrainingDiverged if a weight is not finite."""
    from tasks.model.network import build_network

    weights = network.get_weights()
    if not all(np.isfinite(weight).all() for weight in weights):
        raise TrainingDiverged("the last update left weights that are no numbers; lower --learning-rate")
    plain = build_network(hp, shape, classes)
    plain.set_weights(weights)
    return plain


def _image_weights(targets: Targets) -> Float32[np.ndarray, " images"]:
    """The weight of each image in the loss, of mean 1: all classes together weigh the same."""
    counts = targets.sum(axis=0)
    present = counts > 0
    weights = np.divide(len(targets) / present.sum(), counts, out=np.zeros_like(counts), where=present)
    of_images: np.ndarray = weights[targets.argmax(axis=1)].astype(np.float32)
    return of_images


def _batches(images: Images, arrays: tuple[np.ndarray, ...], order: np.ndarray, *, size: int, devices: int) -> Any:
    """One pass over the images, with their rows of the other arrays, in the given order, read batch by batch.

    All devices get equally many images of a batch. If a batch does not divide, its first images are taken twice.
    """
    from tasks.model.keras_setup import keras

    rows = Rows(images)

    class Batches(keras.utils.PyDataset):  # type: ignore[misc]
        def __len__(self) -> int:
            return math.ceil(len(order) / size)

        def __getitem__(self, i: int) -> tuple[np.ndarray, ...]:
            chosen = order[i * size : (i + 1) * size]
            chosen = np.sort(np.concatenate([chosen, chosen[: -len(chosen) % devices]]))  # sorted: sequential reads
            return rows[chosen], *(array[chosen] for array in arrays)

    batches = Batches()
    return _prefetched(batches) if keras.backend.backend() == "tensorflow" else batches


def _prefetched(batches: "keras.utils.PyDataset") -> Any:
    """The same batches; while TensorFlow computes on one, the next is read.

    Keras would use tf.data's autotuner, which sometimes misses its signal to stop, and then delays the end of an epoch
    until it wakes: up to 2.5 s in a fit of 5 s.
    """
    import tensorflow as tf

    like = [tf.TensorSpec((None, *array.shape[1:]), array.dtype) for array in batches[0]]

    def read(i: Any) -> tuple[Any, ...]:
        arrays = tf.numpy_function(lambda i: batches[int(i)], [i], [spec.dtype for spec in like], stateful=False)
        return tuple(tf.ensure_shape(array, spec.shape) for array, spec in zip(arrays, like, strict=True))

    options = tf.data.Options()
    options.autotune.enabled = False
    return tf.data.Dataset.range(len(batches)).map(read).prefetch(2).with_options(options)
