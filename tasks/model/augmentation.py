"""Layers that change training images at random and keep what they show."""

import math
from typing import Any

import numpy as np

from artifacts.storage.arrays import Float32
from tasks.model.hyperparameters import Hyperparameters
from tasks.model.keras_setup import keras

BLACK = -0.5
"""The value of a black pixel, and of all beyond the border."""
SPACING = 7
"""Pixels between the points that RandomWarp moves, at most."""


class RandomAffine(keras.layers.Layer):  # type: ignore[misc]
    """Rotates, scales, shears and shifts each of the images (n, height, width, channels) in training.

    Each amount is uniform up to its limit (degrees, share, pixels per pixel, pixels). The centre of the image is the
    origin.
    """

    @classmethod
    def of(cls, hp: Hyperparameters, seed: int) -> "RandomAffine":
        layer = (RandomWarp if hp.elastic else RandomAffine)(name="augmentation")
        limits = [math.radians(hp.rotation), hp.zoom, hp.zoom, hp.shear, hp.shift, hp.shift]
        layer.limits = np.array(limits, np.float32)[:, np.newaxis]
        layer.elastic = hp.elastic
        layer.generator = keras.random.SeedGenerator(seed)
        return layer

    def call(self, images: Any, training: bool = False) -> Any:
        if not training:
            return images
        to_x, to_y = self._draw(images)
        zero = keras.ops.zeros_like(to_x[0])
        transforms = keras.ops.stack([*to_x, *to_y, zero, zero], axis=1)
        return keras.ops.image.affine_transform(images, transforms, "bilinear", fill_mode="constant", fill_value=BLACK)

    def _draw(self, images: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        """Where pixel (x, y) of each result comes from: a, b and c (n,) in a·x + b·y + c, for both axes."""
        ops = keras.ops
        count, height, width = ops.shape(images)[:3]
        amounts = self.limits * keras.random.uniform((6, count), -1, 1, seed=self.generator)
        angle, wide, high, slant, right, down = ops.unstack(amounts)
        cosine, sine = ops.cos(angle), ops.sin(angle)
        a, b, c, d = (1 + wide) * cosine, slant - sine, sine, (1 + high) * cosine
        x, y = (width - 1) / 2, (height - 1) / 2
        return (a, b, x - a * x - b * y + right), (c, d, y - c * x - d * y + down)


class RandomWarp(RandomAffine):
    """As RandomAffine, and bends the images: points of a grid move, and pixels between them follow smoothly.

    Each point moves by normal amounts with a standard deviation of `elastic` pixels; pixels follow a cubic B-spline,
    which moves them about half as far. Elastic distortions of digits are after Simard, Steinkraus & Platt 2003, "Best
    Practices for Convolutional Neural Networks"; the spline is that of Rueckert et al. 1999, "Nonrigid Registration
    Using Free-Form Deformations". Such a spline reproduces affine maps, so one interpolation does both.
    """

    def call(self, images: Any, training: bool = False) -> Any:
        if not training:
            return images
        ops = keras.ops
        count, height, width = ops.shape(images)[:3]
        (rows, y), (columns, x) = spline(height), spline(width)
        maps = self._draw(images)
        moves = self.elastic * keras.random.normal((2, count, len(y), len(x)), seed=self.generator)

        def source(axis: int) -> Any:
            a, b, c = (value[:, np.newaxis, np.newaxis] for value in maps[axis])
            points = a * x + b * y[:, np.newaxis] + c + moves[axis]
            return ops.matmul(ops.matmul(rows, points), columns.T)

        return sample(images, source(0), source(1))


def spline(size: int) -> tuple[Float32[np.ndarray, "size points"], Float32[np.ndarray, " points"]]:
    """The basis of a uniform cubic B-spline along an axis of `size` pixels, and the places of its control points.

    The first and the last control point lie beyond the border.
    """
    intervals = math.ceil(size / SPACING)
    places = (np.arange(size) + 0.5) * intervals / size
    first = places.astype(int)
    t = places - first
    weights = np.stack([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3], axis=1) / 6
    basis = np.zeros((size, intervals + 3), np.float32)
    basis[np.arange(size)[:, np.newaxis], first[:, np.newaxis] + np.arange(4)] = weights
    points = (np.arange(intervals + 3) - 1) * size / intervals - 0.5
    return basis, points.astype(np.float32)


def sample(images: Any, x: Any, y: Any) -> Any:
    """The images (n, height, width, channels) at places x and y (n, height, width), in pixels, by bilinear
    interpolation.
    """
    ops = keras.ops
    count, height, width, channels = ops.shape(images)
    x, y = ops.clip(x + 1, 0, width + 1), ops.clip(y + 1, 0, height + 1)  # in the framed image
    left, top = ops.minimum(ops.floor(x), width), ops.minimum(ops.floor(y), height)
    framed = ops.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=BLACK)
    pixels, line = ops.reshape(framed, (-1, channels)), width + 2
    corner = ops.cast(top * line + left, "int32") + ops.arange(count)[:, np.newaxis, np.newaxis] * (height + 2) * line

    right, down = (x - left)[..., np.newaxis], (y - top)[..., np.newaxis]

    def row(start: int) -> Any:
        one, next_one = (ops.take(pixels, corner + start + step, axis=0) for step in (0, 1))
        return one + (next_one - one) * right

    upper, lower = row(0), row(line)
    return upper + (lower - upper) * down
