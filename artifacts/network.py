"""The convolutional networks that hyperparameters describe, in plain Keras 3."""

import math
from typing import TYPE_CHECKING

import numpy as np

from artifacts.backend import keras
from artifacts.errors import UsageError
from artifacts.hyperparameters import Hyperparameters

if TYPE_CHECKING:
    from collections.abc import Sequence


def build(
    hyperparameters: Hyperparameters, image_shape: "Sequence[int]", classes: int, seed: int = 0
) -> keras.Sequential:
    """An untrained network from images of `image_shape` (height, width, channels) to `classes` probabilities.

    Every layer draws from a seed of its own: Keras would take one from Python's global generator, which other threads
    use too. Every name is given, because the weights file holds it, and Keras would number it through the process.
    Raises UsageError if the images are too small for the network.
    """
    hp = hyperparameters
    seeds = map(int, np.random.SeedSequence(seed).generate_state(len(hp.filters) + len(hp.dense) + 2))

    def start() -> keras.initializers.Initializer:
        return keras.initializers.GlorotUniform(next(seeds))

    network = keras.Sequential([keras.Input(tuple(image_shape))], name="network")
    try:
        for i, filters in enumerate(hp.filters):
            size, stride, pool = at(hp.kernel_size, i), at(hp.strides, i), at(hp.pool, i)
            name = f"convolution_{i}"
            network.add(
                keras.layers.Conv2D(
                    filters, size, stride, hp.padding, activation=hp.activation, kernel_initializer=start(), name=name
                )
            )
            if pool > 1:
                network.add(keras.layers.MaxPooling2D(pool, name=f"pool_{i}"))
    except ValueError:
        raise UsageError(
            f"images of {image_shape[0]} by {image_shape[1]} pixels are too small for convolution {i + 1} "
            f"of {len(hp.filters)}; use larger images, smaller kernels and pools, or padding 'same'"
        ) from None
    network.add(keras.layers.Flatten(name="flatten"))
    for i, width in enumerate(hp.dense):
        network.add(keras.layers.Dense(width, activation=hp.activation, kernel_initializer=start(), name=f"dense_{i}"))
    if hp.dropout:
        network.add(keras.layers.Dropout(hp.dropout, seed=next(seeds), name="dropout"))
    network.add(keras.layers.Dense(classes, activation="softmax", kernel_initializer=start(), name="classes"))
    return network


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
        steps_per_execution=min(50, steps_per_epoch),
        jit_compile=False,  # XLA doubles the time of such small networks on a CPU
    )
