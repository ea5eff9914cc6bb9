"""A report shows the most confident mistakes, the images that changed sides, and samples of each class."""

import numpy as np
import pytest

from tasks.evaluation.paired_tests import discordant
from tasks.reporting.model_card import changed_sides, class_samples, worst_mistakes


def test_worst_mistakes_come_first() -> None:
    """Only wrong predictions are listed, the most confident first, equally confident ones in the order of images."""
    probabilities = np.array([[0.4, 0.6], [0.1, 0.9], [0.8, 0.2], [0.4, 0.6], [0.3, 0.7]], np.float32)
    labels = np.array([0, 1, 1, 0, 0], np.uint8)
    images = np.zeros((5, 2, 2), np.uint8)
    assert [mistake.index for mistake in worst_mistakes(images, labels, probabilities)] == [2, 4, 0, 3]


def test_changed_sides() -> None:
    """Each side has the images that only one model got right, first those in which the other was most confident."""
    labels = np.array([0, 0, 0, 1, 1], np.uint8)
    model = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.4, 0.6], [0.3, 0.7]], np.float32)
    champion = np.array([[0.8, 0.2], [0.7, 0.3], [0.6, 0.4], [0.6, 0.4], [0.9, 0.1]], np.float32)
    changes = changed_sides(np.zeros((5, 2, 2), np.uint8), labels, model, champion)
    assert changes.counts == (2, 2, 5) == discordant(model, champion, labels)
    assert [example.index for example in changes.lost] == [2, 1]
    assert [example.index for example in changes.gained] == [4, 3]
    assert changes.lost[0].model.label == 1 and changes.lost[0].champion == (0, pytest.approx(0.6))


def test_samples_are_of_their_class() -> None:
    """A sample is the first images of its class, side by side."""
    images = np.arange(4, dtype=np.uint8)[:, None, None] * np.ones((4, 2, 3), np.uint8)
    first, second = class_samples(images, np.array([5, 2, 5, 5], np.uint8))
    assert (first.label, second.label, first.images.shape) == (2, 5, (2, 3))
    assert second.images[0].tolist() == [0, 0, 0, 2, 2, 2, 3, 3, 3]
