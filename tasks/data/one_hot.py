"""Turn labels into the target distributions of the cross-entropy."""

import numpy as np

from artifacts.storage.arrays import Labels, Targets, chunks
from artifacts.storage.store import Ref, Store
from tasks.caching import step
from tasks.data.datasets import Pair, Splits


def one_hot(labels: Labels, classes: int) -> Targets:
    """Labels (n,) in [0, classes) to float32 rows (n, classes) with one 1, as `keras.utils.to_categorical` does."""
    targets = np.zeros((len(labels), classes), np.float32)
    targets[np.arange(len(labels)), labels] = 1
    return targets


@step("one-hot-encode", shaped_by=("numpy",))
def one_hot_encode(data: Splits, store: Store) -> Pair:
    """Encode both splits over as many classes as the training labels span."""
    classes = int(store.get(data.train.labels).max()) + 1
    return Pair(train=_encoded(data.train.labels, classes, store), test=_encoded(data.test.labels, classes, store))


def _encoded(labels: Ref, classes: int, store: Store) -> Ref:
    rows = (one_hot(part, classes) for part in chunks(store.get(labels)))
    return store.put_chunks((*labels.shape, classes), np.dtype(np.float32), rows)
