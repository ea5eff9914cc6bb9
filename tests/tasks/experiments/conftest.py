"""Digits divided for trials."""

import numpy as np
import pytest

from artifacts.storage.store import Store
from tasks.data.datasets import Split
from tasks.model.hyperparameters import Hyperparameters
from tests.conftest import Arrays

HP = Hyperparameters(epochs=3, batch_size=32)

Parts = tuple[Split, Split]


@pytest.fixture
def parts(store: Store, digits: Arrays) -> Parts:
    images = digits[0][..., np.newaxis] / np.float32(255) - np.float32(0.5)
    targets = np.eye(10, dtype=np.float32)[digits[1]]
    train = Split(images=store.put(images[:300]), labels=store.put(targets[:300]))
    return train, Split(images=store.put(images[300:400]), labels=store.put(targets[300:400]))
