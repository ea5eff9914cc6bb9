"""Divide the training images for experiments. `held_out` in this folder means the validation split made here.

Models are compared on it, so that the test images stay unseen. It has nothing to do with the `new_holdout` of
retraining, which are newly arrived images that the champion and a candidate are compared on.
"""

import numpy as np

from artifacts.storage.arrays import CHUNK
from artifacts.storage.store import Ref, Store
from tasks.caching import step
from tasks.data.datasets import Split, Splits

SHARE = 6
"""One training image in SHARE is held out: 10,000 of MNIST's 60,000."""

SEED = 20190808
"""Decides which images are held out. It never changes, so that all experiments compare on the same images."""


@step("hold-out", shaped_by=("numpy",))
def hold_out(train: Split, store: Store) -> Splits:
    """Divide images (n, height, width) and labels (n,) into `train` and, as `test`, the held-out validation split."""
    count = train.labels.shape[0]
    order = np.random.default_rng(SEED).permutation(count)
    held_out, remaining = np.sort(order[: count // SHARE]), np.sort(order[count // SHARE :])
    refs = [_select(ref, rows, store) for rows in (remaining, held_out) for ref in (train.images, train.labels)]
    return Splits.of(*refs)


def _select(ref: Ref, rows: np.ndarray, store: Store) -> Ref:
    array = store.get(ref)
    parts = (array[rows[i : i + CHUNK]] for i in range(0, len(rows), CHUNK))
    return store.put_chunks((len(rows), *array.shape[1:]), array.dtype, parts)
