"""Read a data set that people brought, in whatever layout, and hold out test images if it names none."""

import hashlib
import logging
from collections.abc import Iterator
from itertools import compress
from pathlib import Path
from typing import NamedTuple

import numpy as np

from artifacts.errors import BadSource, DigitflowError, InvalidData
from artifacts.storage.arrays import Labels, RawImages
from artifacts.storage.store import Ref, Store
from tasks.caching import step
from tasks.data.datasets import Place, Source, Splits
from tasks.data.reader.convert import ImageArray
from tasks.data.reader.labels import encode
from tasks.data.reader.layouts import Found, find_data
from tasks.data.reader.parts import Flaw, Loaded, Reading
from tasks.data.reader.place import content_digest

TEST_SHARE, TEST_SEED = 5, 0
"""Of a data set that names no test images, one image in so many is held out, by its content and this seed."""

_logger = logging.getLogger(__name__)


class Stored(NamedTuple):
    """A data set in the store, with what had to be said and what keeps it from being used as it is."""

    splits: Splits
    notes: tuple[str, ...]
    flaws: tuple[Flaw, ...]
    files: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
    """The file of each image of both splits, if each has one."""

    @property
    def refs(self) -> list[Ref]:
        return [ref for split in (self.splits.train, self.splits.test) for ref in (split.images, split.labels)]


_latest: dict[tuple[str, Store], Stored] = {}
"""The data set that this process read last."""


@step("read", shaped_by=("numpy", "pillow", "pandas"))
def read(source: Source, place: Place, store: Store) -> Splits:
    """Store a data set. Raises InvalidData, with every reason, if it cannot be read as it is."""
    stored = read_place(source.digests[0], place, store)
    if stored.flaws:
        raise InvalidData("; ".join(flaw.message for flaw in stored.flaws), report_of(stored.flaws))
    for note in stored.notes:
        _logger.info(note)
    return stored.splits


def read_place(digest: str, place: Place, store: Store) -> Stored:
    """Store the data set of this content digest; the command that checks it before a run reads it once for both.

    Raises InvalidData if nothing can be read, DigitflowError if the content is another by now.
    """
    latest = _latest.get((digest, store))
    if latest and all(map(store.holds, latest.refs)):
        return latest
    found = find_data(Path(place.path))
    with store.scratch() as folder:
        stored = store_data(found, Reading(folder, place.max_bytes), store)
    if content_digest(found, place.max_bytes) != digest:
        raise DigitflowError(f"{place.path} changed while it was read; run again")
    _latest.clear()
    _latest[digest, store] = stored
    return stored


def store_data(found: Found, reading: Reading, store: Store) -> Stored:
    """Store what was found. What is wrong is in `flaws`. Raises InvalidData if no split can be stored."""
    loaded: list[Loaded] = []
    failed = []
    for part in found.parts:
        try:
            loaded.append(part.load(reading))
        except BadSource as error:
            failed.append(Flaw("unusable", str(error)))
    if not failed:
        try:
            labels, names = encode([split.labels for split in loaded], found.class_names)
            splits, notes, files = _store(loaded, labels, store)
            splits = splits.model_copy(update={"class_names": names})
            unused = len(names) - 1 - max((int(own.max()) for own in labels if len(own)), default=0)
            notes += [f"{len(names)} classes are named, and the last {unused} of them have no images"] * (unused > 0)
            return Stored(splits, (*found.remarks, *reading.notes, *notes), (*found.flaws, *reading.flaws), files)
        except BadSource as error:
            failed = [Flaw("unusable", f"it {error}")]
    flaws = (*found.flaws, *reading.flaws, *failed)
    raise InvalidData("; ".join(flaw.message for flaw in flaws), report_of(flaws))


def report_of(flaws: tuple[Flaw, ...]) -> dict[str, object]:
    """The flaws as a `DataReport` without summaries, as JSON."""
    errors = [{"split": "both", "check": f.check, "message": f.message, "count": f.number, "images": []} for f in flaws]
    return {"errors": errors, "warnings": [], "train": None, "test": None}


def _store(
    loaded: list[Loaded], labels: list[np.ndarray], store: Store
) -> tuple[Splits, list[str], tuple[tuple[str, ...], tuple[str, ...]]]:
    """The splits, what is to be said, and the file of each image."""
    train, *tests = (split.images for split in loaded)
    files = loaded[0].files
    if tests:
        refs = [(_put(split.images, None, store), store.put(own)) for split, own in zip(loaded, labels, strict=True)]
        return Splits.of(*refs[0], *refs[1]), [], (files, loaded[1].files)
    if len(labels[0]) != train.shape[0]:
        raise BadSource(f"has {train.shape[0]:,} images and {len(labels[0]):,} labels")
    is_test = held_out(train.chunks(), labels[0])
    parts = [(_put(train, mask, store), store.put(labels[0][mask])) for mask in (~is_test, is_test)]
    note = (
        f"{is_test.sum():,} of {len(is_test):,} images are held out for the test, because the data name none "
        f"(by content, share 1/{TEST_SHARE}, seed {TEST_SEED})"
    )
    of_splits = tuple(compress(files, ~is_test)), tuple(compress(files, is_test))
    return Splits.of(*parts[0], *parts[1]), [note], of_splits


def _put(images: ImageArray, mask: np.ndarray | None, store: Store) -> Ref:
    """Store the images that the mask selects, or all."""
    count = images.shape[0] if mask is None else int(mask.sum())
    return store.put_chunks((count, *images.shape[1:]), np.dtype(np.uint8), _selected(images, mask))


def _selected(images: ImageArray, mask: np.ndarray | None) -> Iterator[RawImages]:
    start = 0
    for chunk in images.chunks():
        yield chunk if mask is None else chunk[mask[start : start + len(chunk)]]
        start += len(chunk)


def held_out(chunks: Iterator[RawImages], labels: Labels) -> np.ndarray:
    """Which images are held out for the test, as bool (n,): about one in TEST_SHARE, and one of each class at least.

    The content of an image decides it, so copies are on one side, and an image stays on its side when others come. Each
    class has images to train on, so that a lone image is never held out.
    """
    digests = np.array([_digest(image) for chunk in chunks for image in chunk], np.uint64)
    mask: np.ndarray = digests % TEST_SHARE == 0
    for label in np.unique(labels):
        own = digests[labels == label]
        if not mask[labels == label].any() and len(np.unique(own)) > 1:
            mask |= (labels == label) & (digests == own.min())
    for label in np.unique(labels):
        if mask[labels == label].all():
            mask &= digests != digests[labels == label].max()
    return mask


def _digest(image: np.ndarray) -> int:
    key = f"test {TEST_SEED}".encode()
    return int.from_bytes(hashlib.blake2b(image.tobytes(), digest_size=8, key=key).digest())
