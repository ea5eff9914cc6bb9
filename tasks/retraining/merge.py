"""Add the accepted batches to the training images, and hold a part of them out for the gate."""

import hashlib
import itertools
from collections.abc import Iterator

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from artifacts.storage.arrays import RawImages, chunks
from artifacts.storage.store import Ref, Store
from tasks.caching import step
from tasks.data.datasets import Split, Splits

HOLDOUT_FRACTION = 5
"""One new image in so many is held out."""


class Merged(BaseModel):
    """A data set with the accepted batches in its training split, and the held-out part of these, if there is one."""

    model_config = ConfigDict(frozen=True, populate_by_name=True, serialize_by_alias=True)

    data: Splits
    new_holdout: Split | None = Field(alias="fresh")  # the name in manifests and cache entries


def in_new_holdout(images: RawImages) -> np.ndarray:
    """Which images (n, height, width) are held out, as bool (n,). The content of an image alone decides it."""
    digests = (hashlib.blake2b(image.tobytes(), digest_size=4).digest() for image in images)
    return np.array([int.from_bytes(digest) % HOLDOUT_FRACTION == 0 for digest in digests], bool)


@step("merge", shaped_by=("numpy",))
def merge(data: Splits, batches: tuple[Split, ...], store: Store) -> Merged:
    """Append the batches, without their held-out images, to the training split, in this order. The test split stays."""
    held_out = [in_new_holdout(store.get(batch.images)) for batch in batches]
    train = _joined(data.train, batches, [~mask for mask in held_out], store)
    new_holdout = _joined(None, batches, held_out, store)
    is_empty = not new_holdout.labels.shape[0]
    merged = data.model_copy(update={"train": train})
    return Merged(data=merged, new_holdout=None if is_empty else new_holdout)


@step("select-new-holdout", shaped_by=("numpy",))
def select_new_holdout(batches: tuple[Split, ...], store: Store) -> Split | None:
    """The held-out images of the batches (at least one), as `merge` has them; None if there are none."""
    held_out = _joined(None, batches, [in_new_holdout(store.get(batch.images)) for batch in batches], store)
    return held_out if held_out.labels.shape[0] else None


def _joined(first: Split | None, batches: tuple[Split, ...], masks: list[np.ndarray], store: Store) -> Split:
    """All of `first`, if given, and of each batch what its mask selects."""
    images = [(batch.images, mask) for batch, mask in zip(batches, masks, strict=True)]
    labels = [(batch.labels, mask) for batch, mask in zip(batches, masks, strict=True)]
    return Split(
        images=_concatenated(first.images if first else None, images, store),
        labels=_concatenated(first.labels if first else None, labels, store),
    )


def _concatenated(first: Ref | None, selections: list[tuple[Ref, np.ndarray]], store: Store) -> Ref:
    count = (first.shape[0] if first else 0) + sum(int(mask.sum()) for _, mask in selections)
    item_shape = (first or selections[0][0]).shape[1:]
    return store.put_chunks((count, *item_shape), np.dtype(np.uint8), _pieces(first, selections, store))


def _pieces(first: Ref | None, selections: list[tuple[Ref, np.ndarray]], store: Store) -> Iterator[np.ndarray]:
    head = chunks(store.get(first)) if first else iter(())
    return itertools.chain(head, (store.get(ref)[mask] for ref, mask in selections))
