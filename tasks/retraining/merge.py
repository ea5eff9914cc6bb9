"""Add what arrived later to the training images, and hold a part of it back for the gate."""

import hashlib
import itertools
from collections.abc import Iterator

import numpy as np
from pydantic import BaseModel

from artifacts.storage.arrays import RawImages, chunks
from artifacts.storage.store import Ref, Store
from tasks.caching import step
from tasks.data.datasets import Split, Splits


class Merged(BaseModel, frozen=True):
    """Data with what arrived later, and the held-out part of that, if any."""

    data: Splits
    fresh: Split | None


HELD_OUT = 5
"""One new image in so many is held out."""


def held_out(images: RawImages) -> np.ndarray:
    """Which images (n, height, width) are held out, as bool (n,): by content, so that an image always or never is."""
    digests = (hashlib.blake2b(image.tobytes(), digest_size=4).digest() for image in images)
    return np.array([int.from_bytes(digest) % HELD_OUT == 0 for digest in digests], bool)


@step("merge", shaped_by=("numpy",))
def merge(data: Splits, batches: tuple[Split, ...], store: Store) -> Merged:
    """Training images and labels of `data` and of the batches, in this order; the test split stays as it is."""
    fresh = [held_out(store.get(batch.images)) for batch in batches]
    pairs = list(zip(batches, fresh, strict=True))
    images, labels = data.train.images, data.train.labels
    train = Split(
        images=_joined(images, [(batch.images, ~held) for batch, held in pairs], store),
        labels=_joined(labels, [(batch.labels, ~held) for batch, held in pairs], store),
    )
    new = Split(
        images=_joined(None, [(batch.images, held) for batch, held in pairs], store),
        labels=_joined(None, [(batch.labels, held) for batch, held in pairs], store),
    )
    return Merged(data=Splits(train=train, test=data.test), fresh=new if new.labels.shape[0] else None)


def _joined(first: Ref | None, parts: list[tuple[Ref, np.ndarray]], store: Store) -> Ref:
    count = (first.shape[0] if first else 0) + sum(int(chosen.sum()) for _, chosen in parts)
    rest = (first or parts[0][0]).shape[1:]
    return store.put_chunks((count, *rest), np.dtype(np.uint8), _pieces(first, parts, store))


def _pieces(first: Ref | None, parts: list[tuple[Ref, np.ndarray]], store: Store) -> Iterator[np.ndarray]:
    head = chunks(store.get(first)) if first else iter(())
    return itertools.chain(head, (store.get(ref)[chosen] for ref, chosen in parts))
