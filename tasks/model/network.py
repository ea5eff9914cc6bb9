"""The convolutional networks that hyperparameters describe, in plain Keras 3."""

import contextlib
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from tasks.model.augmentation import RandomAffine
from tasks.model.hyperparameters import Hyperparameters
from tasks.model.keras_setup import keras
from tasks.model.layer_sizes import at, check_image_size

if TYPE_CHECKING:
    from collections.abc import Sequence


def build_network(
    hyperparameters: Hyperparameters,
    image_shape: "Sequence[int]",
    classes: int,
    *,
    seed: int = 0,
    training: bool = False,
) -> keras.Model:
    """An untrained network from images of `image_shape` (height, width, channels) to `classes` probabilities.

    With `training`, the network augments its images and computes in the `precision` of the hyperparameters. Both kinds
    have the same weights. An ensemble gives the mean of its members' probabilities, and in training each member's own:
    (n, members, classes).

    Every layer gets its own seed, because Keras would draw one from Python's global generator, which other threads use
    too. Every layer gets a name, because the weights file holds it and Keras would count names through the process.
    Raises UsageError if the images are too small for the network.
    """
    check_image_size(hyperparameters, *image_shape[:2])
    images = keras.Input(tuple(image_shape), name="images")
    network = _members(images, hyperparameters, classes, seed=seed, training=training)
    if training or not hyperparameters.test_time_augmentation:
        return network
    mean = keras.layers.Average(name="mean_of_views")
    return keras.Model(images, mean([network(view) for view in _views(images)]), name="augmented")


def _views(images: Any) -> Iterator[Any]:
    """The images, and shifted by one pixel to each side; black (-0.5) comes in from beyond the border."""
    layers = keras.layers
    black_is_0 = layers.Rescaling(1, offset=0.5, name="black_is_0")(images)
    wide = layers.Rescaling(1, offset=-0.5, name="wide")(layers.ZeroPadding2D(1, name="border")(black_is_0))
    for name, down, right in (("middle", 1, 1), ("up", 2, 1), ("down", 0, 1), ("left", 1, 2), ("right", 1, 0)):
        yield layers.Cropping2D(((down, 2 - down), (right, 2 - right)), name=name)(wide)


def _members(images: Any, hp: Hyperparameters, classes: int, *, seed: int, training: bool) -> keras.Model:
    if hp.ensemble == 1:
        return _sequential("network", images, hp, classes, seed=seed, training=training)
    seeds = map(int, np.random.SeedSequence(seed).generate_state(hp.ensemble))
    members = [
        _sequential(f"member_{i}", images, hp, classes, seed=each, training=training) for i, each in enumerate(seeds)
    ]
    mean = (MembersInTraining if training else keras.layers.Average)(name="mean")
    return keras.Model(images, mean([member(images) for member in members]), name="network")


def _sequential(
    name: str, images: Any, hp: Hyperparameters, classes: int, *, seed: int, training: bool
) -> keras.Sequential:
    network = keras.Sequential([keras.Input(images.shape[1:])], name=name)
    for layer in _layers(hp, classes, seed, training):
        network.add(layer)
    return network


def _layers(hp: Hyperparameters, classes: int, seed: int, training: bool) -> Iterator[keras.Layer]:
    layers, seeds = keras.layers, np.random.SeedSequence(seed).generate_state(len(hp.filters) + len(hp.dense) + 3)
    augmentation_seed, dropout_seed, *weight_seeds = map(int, seeds)
    inner = {"dtype": "mixed_bfloat16" if training and hp.precision == "bfloat16" else "float32"}

    def weighted(kind: type[keras.Layer], *sizes: object, **options: object) -> keras.Layer:
        of = ("depthwise", "pointwise") if kind is layers.SeparableConv2D else ("kernel",)
        seed = weight_seeds.pop()
        draws = {f"{kernel}_initializer": keras.initializers.GlorotUniform(seed + j) for j, kernel in enumerate(of)}
        return kind(*sizes, **draws, **options)

    def activated(name: str) -> Iterator[keras.Layer]:
        if hp.batch_norm:
            yield _normalisation(training)(momentum=0.9, name=f"normalisation_{name}", **inner)
        if hp.activation != "linear":
            yield layers.Activation(hp.activation, name=f"activation_{name}", **inner)

    before_norm = {"use_bias": not hp.batch_norm} | inner  # batch normalisation adds a bias of its own
    if training and (hp.rotation or hp.zoom or hp.shear or hp.shift or hp.elastic):
        yield RandomAffine.of(hp, augmentation_seed)
    for i, filters in enumerate(hp.filters):
        size, pool = at(hp.kernel_size, i), at(hp.pool, i)
        border = {"strides": at(hp.strides, i), "padding": at(hp.padding, i)}
        convolution = layers.SeparableConv2D if hp.separable and i else layers.Conv2D
        yield weighted(convolution, filters, size, name=f"convolution_{i}", **border, **before_norm)
        if pool > 1:  # before the activation: equal for an activation that never falls, and cheaper
            yield layers.MaxPooling2D(pool, name=f"pool_{i}", **inner)
        yield from activated(f"{i}")
    yield layers.Flatten(name="flatten")
    for i, width in enumerate(hp.dense):
        yield weighted(layers.Dense, width, name=f"dense_{i}", **before_norm)
        yield from activated(f"dense_{i}")
    if hp.dropout:
        yield layers.Dropout(hp.dropout, seed=dropout_seed, name="dropout", **inner)
    yield weighted(layers.Dense, classes, activation="softmax", name="classes")


def _normalisation(training: bool) -> type[keras.layers.BatchNormalization]:
    if training and keras.backend.backend() == "tensorflow":
        from tasks.model.fused import FusedBatchNormalization

        return FusedBatchNormalization
    return keras.layers.BatchNormalization  # type: ignore[no-any-return]


def _adam() -> type[keras.optimizers.Adam]:
    if keras.backend.backend() == "tensorflow":
        from tasks.model.fused import FusedAdam

        return FusedAdam
    return keras.optimizers.Adam  # type: ignore[no-any-return]


class MembersInTraining(keras.layers.Layer):  # type: ignore[misc]
    """The mean of the members' probabilities (n, classes); in training all of them, (n, members, classes)."""

    def call(self, inputs: Any, training: bool = False) -> Any:
        members = keras.ops.stack(inputs, axis=1)
        return members if training else keras.ops.mean(members, axis=1)


class CrossEntropy(keras.losses.CategoricalCrossentropy):  # type: ignore[misc]
    """The cross-entropy of each image. Of an ensemble, the mean over its members: each learns on its own."""

    def call(self, y_true: Any, y_pred: Any) -> Any:
        if len(y_pred.shape) == 2:
            return super().call(y_true, y_pred)
        targets = keras.ops.broadcast_to(y_true[:, np.newaxis], keras.ops.shape(y_pred))
        return keras.ops.mean(super().call(targets, y_pred), axis=-1)


@contextlib.contextmanager
def distributed() -> Iterator[int]:
    """With JAX and several devices, each batch inside is divided among all devices. Yields their number."""
    devices = keras.distribution.list_devices() if keras.backend.backend() == "jax" else []
    if len(devices) < 2:
        yield 1
        return
    with keras.distribution.DataParallel(devices=devices).scope():
        yield len(devices)


@keras.saving.register_keras_serializable("digitflow")
class OneCycle(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
    """A linear rise from peak/25 to `peak`, then a cosine to peak/10⁴; both together take `steps` steps.

    After Smith & Topin 2018, "Super-Convergence" (arXiv:1708.07120).
    """

    def __init__(self, peak: float, steps: int, warmup: float):
        self.peak, self.steps, self.warmup = peak, steps, warmup

    def __call__(self, step: object) -> object:
        ops = keras.ops
        done = ops.cast(step, "float32") / self.steps
        low, end = self.peak / 25, self.peak / 1e4
        rise = low + (self.peak - low) * done / max(self.warmup, 1e-9)
        fall = (done - self.warmup) / (1 - self.warmup)
        return ops.where(
            done < self.warmup, rise, end + (self.peak - end) * 0.5 * (1 + ops.cos(math.pi * ops.clip(fall, 0, 1)))
        )

    def get_config(self) -> dict[str, float]:
        return {"peak": self.peak, "steps": self.steps, "warmup": self.warmup}


def compile_for_training(network: keras.Model, hyperparameters: Hyperparameters, steps_per_epoch: int) -> None:
    """Attach loss, optimiser and schedule. There are no metrics: computing them on each step costs a fifth."""
    hp = hyperparameters
    rate = (
        OneCycle(hp.learning_rate, hp.epochs * steps_per_epoch, hp.warmup)
        if hp.schedule == "one-cycle"
        else hp.learning_rate
    )
    is_jax = keras.backend.backend() == "jax"
    network.compile(
        _adam()(rate, beta_1=hp.beta_1, beta_2=hp.beta_2, name="adam"),
        loss=CrossEntropy(label_smoothing=hp.label_smoothing),
        steps_per_execution=1 if is_jax else min(50, steps_per_epoch),  # JAX unrolls them
        jit_compile=is_jax,  # TensorFlow needs twice the time for such small networks with XLA on a CPU
    )
