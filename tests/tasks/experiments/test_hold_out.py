"""The held-out images are a fixed part of the training images."""

import numpy as np

from artifacts.storage.store import Store
from tasks.data.datasets import Split
from tasks.experiments.hold_out import SHARE, hold_out
from tests.conftest import Arrays


def test_partition(store: Store, digits: Arrays) -> None:
    """Each image is in one of the two parts with its label; a sixth is held out, always the same."""
    images, labels = digits[:2]
    train = Split(images=store.put(images), labels=store.put(labels))
    divided = hold_out.fn(train, store)
    assert divided == hold_out.fn(train, store)
    parts = [(store.get(part.images), store.get(part.labels)) for part in (divided.train, divided.test)]
    assert len(parts[1][0]) == len(images) // SHARE
    both = [np.concatenate(arrays) for arrays in zip(*parts, strict=True)]

    def rows(images: np.ndarray, labels: np.ndarray) -> list[bytes]:
        return sorted(image.tobytes() + bytes([label]) for image, label in zip(images, labels, strict=True))

    assert rows(*both) == rows(images, labels)
    assert set(parts[1][1].tolist()) == set(range(10))
