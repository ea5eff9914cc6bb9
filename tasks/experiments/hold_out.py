"""Set aside a part of the training images, on which models can be compared without a look at the test images."""

import numpy as np

from artifacts.storage.arrays import CHUNK
from artifacts.storage.store import Ref, Store
from tasks.caching import step
from tasks.data.datasets import Split, Splits

SHARE = 6
"""One training image in so many is held out: 10,000 of MNIST's 60,000."""

SEED = 20190808
"""Decides which; it never changes, so that all experiments compare on the same images."""


@step("hold-out", shaped_by=("numpy",))
def hold_out(train: Split, store: Store) -> Splits:
    """Divide training images (n, height, width) and labels (n,) into `train` and, as `test`, the held-out ones."""
    count = train.labels.shape[0]
    order = np.random.default_rng(SEED).permutation(count)
    held, kept = np.sort(order[: count // SHARE]), np.sort(order[count // SHARE :])
    refs = [_chosen(ref, which, store) for which in (kept, held) for ref in (train.images, train.labels)]
    return Splits.of(*refs)


def _chosen(ref: Ref, which: np.ndarray, store: Store) -> Ref:
    array = store.get(ref)
    parts = (array[which[i : i + CHUNK]] for i in range(0, len(which), CHUNK))
    return store.put_chunks((len(which), *array.shape[1:]), array.dtype, parts)
