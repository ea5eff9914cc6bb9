"""How training images lie is measured, and decides which images are like them."""

import numpy as np
import pytest

from tasks.pictures.conventions import MNIST
from tasks.pictures.training_layout import looks_trained, measure_conventions
from tests.pictures import mnist_sample


@pytest.fixture(scope="module")
def sample() -> np.ndarray:
    return mnist_sample()[0]


def test_mnist_is_measured(sample: np.ndarray) -> None:
    """What is published of MNIST is what is measured: ground, box, proportions and centre of mass."""
    measured = measure_conventions(sample)
    published = {"ground", "ink", "box", "is_stretched", "centre", "place", "has_ground"}
    assert measured.model_dump(include=published) == MNIST.model_dump(include=published)


@pytest.mark.parametrize("move", [(0, 2), (-2, 0)])
def test_moved_data_set(sample: np.ndarray, move: tuple[int, int]) -> None:
    """If all images are moved, so is the place of their centre; images of before are not like them any more."""
    moved = np.roll(sample, move, axis=(1, 2))
    measured = measure_conventions(moved)
    assert np.array(measured.place) * 28 - 14 == pytest.approx(np.array(move), abs=0.5)
    assert looks_trained(moved, measured).mean() > 0.95  # what reached the edge is on the other side now
    assert looks_trained(np.roll(sample, (-move[0], -move[1]), axis=(1, 2)), measured).mean() < 0.01


def test_own_images_are_like_themselves(sample: np.ndarray) -> None:
    """Nearly all images that were measured are like themselves, and no negative is. Their sizes may differ."""
    smaller = np.pad(sample[:, ::2, ::2], ((0, 0), (7, 7), (7, 7)))
    for images in (sample, 255 - sample, sample[:10], np.concatenate([sample[:400], smaller])):
        measured = measure_conventions(images)
        assert looks_trained(images, measured).mean() > 0.99
        assert not looks_trained(255 - images, measured).any()


def test_other_layouts_are_not_like_mnist(sample: np.ndarray) -> None:
    """A digit out of its place, of another size, on grey, or with ink around it is not like MNIST's."""
    smaller = np.pad(sample[:, ::2, ::2], ((0, 0), (7, 7), (7, 7)))
    on_grey = (180 - sample * (140 / 255)).astype(np.uint8)
    framed = sample.copy()
    framed[:, 0] = framed[:, -1] = 255
    for images in (np.roll(sample, 4, axis=1), smaller, on_grey, framed, np.zeros_like(sample)):
        assert not looks_trained(images, MNIST).any()
