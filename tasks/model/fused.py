"""Batch normalisation and Adam as TensorFlow's fused operations: the same formulas in one pass over memory.

Keras composes them of a dozen operations each, batch normalisation in float32 even under bfloat16.
"""

import math
from typing import Any

from tasks.model.keras_setup import keras
from tasks.model.keras_setup import tensorflow as tf


class FusedBatchNormalization(keras.layers.BatchNormalization):  # type: ignore[misc]
    """Batch normalisation of images (n, height, width, channels) in training. It has Keras's weights."""

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        if not training or len(inputs.shape) != 4:
            return super().call(inputs, training=training, mask=mask)
        inputs = tf.cast(inputs, self.compute_dtype)
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=self.gamma.value,
            offset=self.beta.value,
            mean=[],
            variance=[],
            epsilon=self.epsilon,
            is_training=True,
        )
        values = tf.cast(tf.shape(inputs)[0] * math.prod(inputs.shape[1:3]), variance.dtype)
        variance *= (values - 1) / values  # TensorFlow divides by one less, Keras does not
        for moving, of_batch in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(moving * self.momentum + of_batch * (1 - self.momentum))
        return outputs


class FusedAdam(keras.optimizers.Adam):  # type: ignore[misc]
    """Adam (Kingma & Ba 2014, arXiv:1412.6980) with one operation for each variable. It has Keras's variables."""

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        rate, step = tf.cast(learning_rate, variable.dtype), tf.cast(self.iterations + 1, variable.dtype)
        index = self._get_variable_index(variable)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=tf.pow(tf.cast(self.beta_1, variable.dtype), step),
            beta2_power=tf.pow(tf.cast(self.beta_2, variable.dtype), step),
            lr=rate,
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=tf.cast(gradient, variable.dtype),
        )
