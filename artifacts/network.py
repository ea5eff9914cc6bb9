"""The convolutional networks that hyperparameters describe, in plain Keras 3."""

import contextlib
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from artifacts.backend import keras
from artifacts.errors import UsageError
from artifacts.hyperparameters import Hyperparameters

if TYPE_CHECKING:
    from collections.abc import Sequence


def build(
    hyperparameters: Hyperparameters,
    image_shape: "Sequence[int]",
    classes: int,
    seed: int = 0,
    training: bool = False,
) -> keras.Sequential:
    """An untrained network from images of `image_shape` (height, width, channels) to `classes` probabilities.

    With `training` it moves its images and has the precision that training asks for; its weights are the same.

    Every layer draws from a seed of its own: Keras would take one from Python's global generator, which other threads
    use too. Every name is given, because the weights file holds it, and Keras would number it through the process.
    Raises UsageError if the images are too small for the network.
    """
    hp, layers = hyperparameters, keras.layers
    moves, drops, *starts = map(int, np.random.SeedSequence(seed).generate_state(len(hp.filters) + len(hp.dense) + 3))
    dtype = "mixed_bfloat16" if training and hp.precision == "bfloat16" else "float32"

    def weighted(kind: type[keras.Layer], *sizes: object, **options: object) -> keras.Layer:
        return kind(*sizes, kernel_initializer=keras.initializers.GlorotUniform(starts.pop()), **options)

    def activate(name: str) -> None:
        if hp.batch_norm:
            network.add(layers.BatchNormalization(momentum=0.9, dtype=dtype, name=f"normalisation_{name}"))
        if hp.activation != "linear":
            network.add(layers.Activation(hp.activation, dtype=dtype, name=f"activation_{name}"))

    network = keras.Sequential([keras.Input(tuple(image_shape))], name="network")
    if training and (hp.rotation or hp.zoom or hp.shear or hp.shift):
        network.add(Moved.by(hp, moves))
    try:
        for i, filters in enumerate(hp.filters):
            size, stride, pool = at(hp.kernel_size, i), at(hp.strides, i), at(hp.pool, i)
            network.add(
                weighted(layers.Conv2D, filters, size, stride, hp.padding, dtype=dtype, name=f"convolution_{i}")
            )
            if pool > 1:  # before the activation: the same where that never falls, and fewer values to compute
                network.add(layers.MaxPooling2D(pool, dtype=dtype, name=f"pool_{i}"))
            activate(f"{i}")
    except ValueError:
        raise UsageError(
            f"images of {image_shape[0]} by {image_shape[1]} pixels are too small for convolution {i + 1} "
            f"of {len(hp.filters)}; use larger images, smaller kernels and pools, or padding 'same'"
        ) from None
    network.add(layers.Flatten(name="flatten") if hp.head == "flatten" else layers.GlobalAveragePooling2D(name="mean"))
    for i, width in enumerate(hp.dense):
        network.add(weighted(layers.Dense, width, dtype=dtype, name=f"dense_{i}"))
        activate(f"dense_{i}")
    if hp.dropout:
        network.add(layers.Dropout(hp.dropout, seed=drops, dtype=dtype, name="dropout"))
    network.add(weighted(layers.Dense, classes, activation="softmax", name="classes"))
    return network


class Moved(keras.layers.Layer):  # type: ignore[misc]
    """Images (n, height, width, channels); in training each is turned, scaled, sheared and shifted about its middle.

    Each amount is uniform up to its limit (degrees, share, pixels a pixel, pixels); what comes in is black (-0.5).
    """

    @classmethod
    def by(cls, hp: Hyperparameters, seed: int) -> "Moved":
        layer = cls(name="moved")
        limits = [math.radians(hp.rotation), hp.zoom, hp.zoom, hp.shear, hp.shift, hp.shift]
        layer.limits = np.array(limits, np.float32)[:, np.newaxis]
        layer.draws = keras.random.SeedGenerator(seed)
        return layer

    def call(self, images: Any, training: bool = False) -> Any:
        if not training:
            return images
        ops = keras.ops
        count, height, width = ops.shape(images)[:3]
        amounts = self.limits * keras.random.uniform((6, count), -1, 1, seed=self.draws)
        angle, wide, high, slant, right, down = ops.unstack(amounts)
        cosine, sine = ops.cos(angle), ops.sin(angle)
        a, b, c, d = (1 + wide) * cosine, slant - sine, sine, (1 + high) * cosine
        x, y, none = (width - 1) / 2, (height - 1) / 2, ops.zeros_like(a)
        moves = ops.stack([a, b, x - a * x - b * y + right, c, d, y - c * x - d * y + down, none, none], axis=1)
        return ops.image.affine_transform(images, moves, "bilinear", fill_mode="constant", fill_value=-0.5)


@contextlib.contextmanager
def distributed() -> Iterator[int]:
    """Inside, all devices that Keras can distribute to (with JAX) share each batch; yields how many there are."""
    devices = keras.distribution.list_devices() if keras.backend.backend() == "jax" else []
    if len(devices) < 2:
        yield 1
        return
    with keras.distribution.DataParallel(devices=devices).scope():
        yield len(devices)


def at(values: tuple[int, ...], i: int) -> int:
    """Entry `i`, or the last one where there are fewer."""
    return values[min(i, len(values) - 1)]


@keras.saving.register_keras_serializable("digitflow")
class OneCycle(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
    """A linear rise from peak/25 to `peak`, then a cosine to peak/10⁴, over `steps` in all.

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
    """Attach loss, optimiser and schedule. Metrics are left out: computing them on each step costs a fifth."""
    hp = hyperparameters
    rate = (
        OneCycle(hp.learning_rate, hp.epochs * steps_per_epoch, hp.warmup)
        if hp.schedule == "one-cycle"
        else hp.learning_rate
    )
    network.compile(
        keras.optimizers.Adam(rate, beta_1=hp.beta_1, beta_2=hp.beta_2, name="adam"),
        loss=keras.losses.CategoricalCrossentropy(label_smoothing=hp.label_smoothing),
        steps_per_execution=1 if keras.backend.backend() == "jax" else min(50, steps_per_epoch),  # JAX unrolls them
        jit_compile=False,  # XLA doubles the time of such small networks on a CPU
    )
