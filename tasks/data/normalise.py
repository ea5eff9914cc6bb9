"""Rescale the pixels around zero and add the channel axis."""

import numpy as np

from artifacts.storage.arrays import chunks
from artifacts.storage.store import Ref, Store
from tasks.caching import step
from tasks.data.datasets import Pair, Splits
from tasks.data.images import rescale


@step("normalise-and-reshape", shaped_by=("numpy",))
def normalise_and_reshape(data: Splits, store: Store) -> Pair:
    """Images (n, height, width) uint8 to (n, height, width, 1) float32 in [-0.5, 0.5], a chunk at a time."""
    return Pair(train=_rescaled(data.train.images, store), test=_rescaled(data.test.images, store))


def _rescaled(images: Ref, store: Store) -> Ref:
    raw = store.get(images)
    return store.put_chunks((*raw.shape, 1), np.dtype(np.float32), map(rescale, chunks(raw)))
