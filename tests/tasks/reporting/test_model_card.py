"""A report shows the most confident mistakes."""

import numpy as np

from tasks.reporting.model_card import worst_mistakes


def test_worst_mistakes_come_first() -> None:
    """Only wrong predictions are listed, the most confident first, equally confident ones in the order of images."""
    probabilities = np.array([[0.4, 0.6], [0.1, 0.9], [0.8, 0.2], [0.4, 0.6], [0.3, 0.7]], np.float32)
    labels = np.array([0, 1, 1, 0, 0], np.uint8)
    images = np.zeros((5, 2, 2), np.uint8)
    assert [mistake.index for mistake in worst_mistakes(images, labels, probabilities)] == [2, 4, 0, 3]
    among = np.array([True, True, False, False, True])
    assert [mistake.index for mistake in worst_mistakes(images, labels, probabilities, among=among)] == [4, 0]
