"""The fused operations compute what Keras's own compute."""

import numpy as np
import pytest

from tasks.model.fused import FusedAdam, FusedBatchNormalization
from tasks.model.keras_setup import keras
from tasks.model.keras_setup import tensorflow as tf


@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-5), ("mixed_bfloat16", 0.02)])
def test_batch_normalisation(precision: str, tolerance: float) -> None:
    """In training: the same outputs, gradients, and moving means and variances. In prediction: the same outputs."""
    generator = np.random.default_rng(0)
    images = tf.constant(generator.normal(1, 2, (6, 5, 4, 3)), tf.float32)
    direction = tf.constant(generator.normal(size=images.shape), tf.float32)
    found = []
    for kind in (FusedBatchNormalization, keras.layers.BatchNormalization):
        layer = kind(momentum=0.9, dtype=precision)
        layer.build(images.shape)
        layer.gamma.assign([0.5, 1, 2])
        layer.beta.assign([1, 0, -1])
        with tf.GradientTape() as tape:
            tape.watch(images)
            outputs = tf.cast(layer(images, training=True), tf.float32)
            loss = tf.reduce_sum(outputs * direction)
        gradients = tape.gradient(loss, [images, layer.gamma.value, layer.beta.value])
        predicted = tf.cast(layer(images, training=False), tf.float32)
        found.append([outputs, *gradients, *layer.get_weights(), predicted])
    for fused, plain in zip(*found, strict=True):
        scale = float(np.abs(plain).max())
        np.testing.assert_allclose(np.asarray(fused) / scale, np.asarray(plain) / scale, atol=tolerance)


def test_adam() -> None:
    """The same variables and moments after several steps, with a schedule and decays of any size."""
    generator = np.random.default_rng(1)
    gradients = [[generator.normal(size=shape).astype(np.float32) for shape in ((3, 4), (4,))] for _ in range(7)]
    found = []
    for kind in (FusedAdam, keras.optimizers.Adam):
        variables = [keras.Variable(np.ones(shape, np.float32)) for shape in ((3, 4), (4,))]
        rate = keras.optimizers.schedules.ExponentialDecay(0.1, 2, 0.5)
        optimizer = kind(rate, beta_1=0.7, beta_2=0.95)
        optimizer.build(variables)
        for of_step in gradients:
            optimizer.apply([tf.constant(gradient) for gradient in of_step])
        found.append([np.asarray(variable) for variable in [*variables, *optimizer.variables]])
    for fused, plain in zip(*found, strict=True):
        np.testing.assert_allclose(fused, plain, rtol=1e-5, atol=1e-6)
