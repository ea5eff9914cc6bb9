"""Which files are a batch, and what is in one? A batch is read as any other data, and fitted to a data set."""

import contextlib
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from artifacts.errors import BadSource, InvalidData, UsageError
from artifacts.storage.arrays import Labels, RawImages
from artifacts.storage.store import Store
from tasks.data.datasets import BATCH_FORMATS
from tasks.data.images import GreyImage
from tasks.data.reader.files import kind_of
from tasks.data.reader.labels import encode, encode_as
from tasks.data.reader.layouts import find_data
from tasks.data.reader.parts import Fitting, Flaw, Loaded, Reading
from tasks.pictures.conventions import MNIST, Conventions
from tasks.pictures.model_input import to_model_input


class Target(NamedTuple):
    """The data set that a batch is for: the shape (height, width) of its images, how they lie, and its classes' names.

    The names are empty if classes are called by their numbers; `classes` counts them, where that is known.
    `is_assumed`: shape and names are not known yet, so arrays stay as they are, and any names will do.
    """

    shape: tuple[int, int]
    conventions: Conventions = MNIST
    class_names: tuple[str, ...] = ()
    is_assumed: bool = False
    classes: int | None = None


USUAL = Target((28, 28), is_assumed=True)
"""What a batch is tried on before there is a data set that it could be for."""
LEFT_OUT_SHARE = 0.1
"""Share of the images of a batch that may be unusable: they are left out, and the others are used."""


class BatchData(NamedTuple):
    """The arrays of a batch, both uint8: images (n, height, width), labels (n,).

    `is_fitted`: its files hold other arrays, because the images were made to fit the data set. `left_out` says which
    images were left out, and why.
    """

    images: RawImages
    labels: Labels
    is_fitted: bool = False
    left_out: tuple[Flaw, ...] = ()


def may_be_batch(path: Path) -> bool:
    """Whether a path may hold a batch: a folder, an .npz file or a table."""
    return path.is_dir() or (path.is_file() and (path.suffix == ".npz" or kind_of(path) in ("npz", "table")))


def read_batch(path: Path, store: Store, max_bytes: int) -> tuple[RawImages, Labels]:
    """Images (n, height, width) and labels (n,), both uint8, as they are. Raises BadSource if that is no batch."""
    batch = load_batch(path, store, max_bytes)
    return batch.images, batch.labels


def load_batch(path: Path, store: Store, max_bytes: int, target: Target | None = None) -> BatchData:
    """The arrays of a batch. Pictures, and arrays of another size, are fitted to a `target`, as for a prediction.

    Raises BadSource, with every reason, if the files are no batch, or too many images are unusable.
    """
    try:
        found = find_data(path)
        part = found.train or found.test
        if part is None:
            raise BadSource(f"{path.name} has no images with labels; give {BATCH_FORMATS}")
        with store.scratch() as folder:
            reading = Reading(folder, max_bytes)
            loaded = part.load(reading, _fitting(target))
            flaws = (*found.flaws, *reading.flaws)
            unusable = sum(flaw.number for flaw in flaws)
            is_tolerable = target is not None and unusable <= LEFT_OUT_SHARE * (len(loaded.labels) + unusable)
            if flaws and not is_tolerable:
                raise BadSource("; ".join(flaw.message for flaw in flaws))
            return _stored(loaded, store, target)._replace(left_out=flaws)
    except (BadSource, UsageError, InvalidData) as error:
        text = str(error).replace(f"{path}: ", "").replace(f"{path}/", "").replace(f"{path} ", "")
        raise BadSource(f"{path.name}: {text.removeprefix(f'{path.name} ')}") from None


class Checked(NamedTuple):
    """What is to be said about a batch, a line each, and the number of its usable images."""

    remarks: list[str]
    images: int


def check_batch(path: Path, store: Store, max_bytes: int, targets: Sequence[Target] = ()) -> Checked:
    """Try a batch on the data sets that it could be for, so that none that passes is refused for its form later.

    Raises UsageError, with every reason, if it fits none of them.
    """
    if not path.exists():
        raise UsageError(f"there is no {path}")
    if not may_be_batch(path):
        raise UsageError(f"{path} is no batch: give {BATCH_FORMATS}")
    reasons = []
    for target in targets or [USUAL]:
        try:
            return _checked(path, load_batch(path, store, max_bytes, target))
        except (BadSource, UsageError) as error:
            reasons.append(str(error))
    raise UsageError(reasons[0])


def _checked(path: Path, batch: BatchData) -> Checked:
    from tasks.data.schema import check_split

    errors, warnings = check_split(batch.images, batch.labels)
    if errors:
        raise UsageError(f"{path.name}: " + "; ".join(problem.message for problem in errors))
    found = find_data(path)
    both = ["its test images are left out: a batch is to train on"] if found.train and found.test else []
    left_out = [f"left out: {flaw.message}" for flaw in batch.left_out]
    remarks = [*found.remarks, *both, *left_out, *(problem.message for problem in warnings)]
    return Checked(remarks, len(batch.labels))


def dataset_named_in(path: Path) -> str | None:
    """The data set that an .npz file names in its array `dataset`, if it names one."""
    with contextlib.suppress(Exception), zipfile.ZipFile(path) as archive:  # read_batch reports damage
        if archive.getinfo("dataset.npy").file_size < 1 << 12:
            return str(np.lib.format.read_array(archive.open("dataset.npy"), allow_pickle=False)) or None
    return None


def _fitting(target: Target | None) -> Fitting | None:
    if target is None:
        return None

    def fit(picture: GreyImage) -> GreyImage:
        try:
            return to_model_input(picture, target.shape, target.conventions)
        except BadSource:
            if picture.pixels.shape == target.shape:  # its label says that it shows one thing, however it lies
                return picture
            raise

    return Fitting(None if target.is_assumed else target.shape, fit)


def _stored(loaded: Loaded, store: Store, target: Target | None) -> BatchData:
    if loaded.images.shape[0] != len(loaded.labels):
        raise BadSource(f"has {loaded.images.shape[0]:,} images and {len(loaded.labels):,} labels")
    if target and target.is_assumed:
        labels = encode([loaded.labels])[0][0]
    else:
        labels = encode_as(loaded.labels, target.class_names if target else (), target.classes if target else None)
    images = store.get(store.put_chunks(loaded.images.shape, np.dtype(np.uint8), loaded.images.chunks()))
    return BatchData(images, labels, loaded.is_fitted)
