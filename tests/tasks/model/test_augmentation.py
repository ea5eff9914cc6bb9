"""Augmentation moves and bends training images within its limits, and leaves images of predictions as they are."""

import numpy as np
import pytest

from tasks.model.augmentation import BLACK, RandomAffine, sample, spline
from tasks.model.hyperparameters import Hyperparameters


def test_augmentation_in_training_only() -> None:
    """Training transforms each image at random, by at most the limit, about its centre; prediction changes no image."""
    dot = np.full((64, 9, 9, 1), -0.5, np.float32)
    dot[:, 4, 4] = 0.5
    layer = RandomAffine.of(Hyperparameters(shift=2.0), seed=1)
    moved = np.asarray(layer(dot, training=True))
    mass = moved[..., 0] + 0.5
    rows = (mass.sum(axis=2) * np.arange(9)).sum(axis=1) / mass.sum(axis=(1, 2))
    assert len(np.unique(rows.round(3))) > 32 and 1 < np.abs(rows - 4).max() <= 2
    np.testing.assert_array_equal(np.asarray(layer(dot, training=False)), dot)
    for still in (Hyperparameters(), Hyperparameters(rotation=180.0, zoom=0.1, shear=0.1)):
        centre = np.asarray(RandomAffine.of(still, seed=1)(dot, training=True))[:, 4, 4]
        np.testing.assert_allclose(centre, 0.5, atol=1e-5)


@pytest.mark.parametrize(("height", "width"), [(28, 28), (8, 8), (9, 30)])
def test_a_warp_that_bends_nothing_is_affine(height: int, width: int) -> None:
    """With almost no bending, the result is that of the affine change with the same seed, for images of any shape."""
    images = np.random.default_rng(0).uniform(BLACK, 0.5, (16, height, width, 3)).astype(np.float32)
    hp = Hyperparameters(rotation=20.0, zoom=0.1, shear=0.2, shift=2.0)
    affine = np.asarray(RandomAffine.of(hp, seed=3)(images, training=True))
    warped = RandomAffine.of(hp.model_copy(update={"elastic": 1e-6}), seed=3)(images, training=True)
    assert np.abs(affine - images).max() > 0.1
    np.testing.assert_allclose(np.asarray(warped), affine, atol=1e-3)


def test_bending_is_smooth_and_as_strong_as_asked() -> None:
    """Pixels move by normal amounts whose size follows from that of the points, neighbours almost alike, each image
    otherwise, and on average not at all; in prediction nothing moves."""
    ramp = np.broadcast_to(np.arange(42, dtype=np.float32)[:, np.newaxis], (400, 42, 42, 1))
    layer = RandomAffine.of(Hyperparameters(elastic=1.5), seed=1)
    moved = (np.asarray(layer(ramp, training=True)) - ramp)[:, 7:-7, 7:-7, 0]
    basis, _ = spline(42)
    share = np.square(basis).sum(axis=1)[7:-7]
    expected = 1.5 * np.sqrt(np.outer(share, share))
    np.testing.assert_allclose(moved.std(axis=0), expected, rtol=0.2)
    assert np.abs(moved.mean(axis=0)).max() < 0.2
    assert np.abs(np.diff(moved, axis=1)).max() < moved.std() and np.abs(np.diff(moved, axis=2)).max() < moved.std()
    np.testing.assert_array_equal(np.asarray(layer(ramp, training=False)), ramp)


def test_a_spline_reproduces_straight_lines() -> None:
    """Control points at their own places put each pixel at its own place, and weights sum to one."""
    for size in (1, 6, 7, 8, 28, 33):
        basis, points = spline(size)
        np.testing.assert_allclose(basis @ points, np.arange(size), atol=1e-4)
        np.testing.assert_allclose(basis.sum(axis=1), 1, atol=1e-6)


def test_sampling_is_bilinear() -> None:
    """Between pixels, values are those between them; beyond the border, an image is black."""
    image = np.array([[[[0.1], [0.3]], [[0.5], [-0.1]]]], np.float32)
    places = np.array([[0.0, 1.0], [0.5, -0.5]], np.float32), np.array([[0.0, 0.5], [0.5, 0.0]], np.float32)
    got = np.asarray(sample(image, places[0][np.newaxis], places[1][np.newaxis]))[0, ..., 0]
    np.testing.assert_allclose(got, [[0.1, 0.1], [0.2, (0.1 + BLACK) / 2]], atol=1e-6)
    far = np.full((1, 2, 2), 9, np.float32)
    np.testing.assert_allclose(np.asarray(sample(image, far, -far)), BLACK)
