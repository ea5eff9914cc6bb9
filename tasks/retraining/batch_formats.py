"""Which files are a batch, and how is each format read?"""

import contextlib
import csv
import zipfile
from pathlib import Path

import numpy as np

from artifacts.errors import BadSource, DigitflowError, is_transient
from artifacts.storage.arrays import Labels, RawImages
from artifacts.storage.store import Store
from tasks.data import idx
from tasks.data.images import decode

BATCH_FORMATS = "a .npz file with images and labels, a folder with an IDX pair, or a folder of images with a labels.csv"


def may_be_batch(path: Path) -> bool:
    """Whether a path may hold a batch: a folder, or an .npz file."""
    return path.is_dir() or _is_npz(path)


def _is_npz(path: Path) -> bool:
    return path.suffix == ".npz" and path.is_file()


def read_batch(path: Path, store: Store, max_bytes: int) -> tuple[RawImages, Labels]:
    """Images (n, height, width) and labels (n,), both uint8. Raises BadSource if the files are no batch."""
    try:
        if _is_npz(path):
            return _read_npz(path, max_bytes)
        if (path / "labels.csv").is_file():
            return _read_pictures(path, max_bytes)
        return _read_idx(path, store, max_bytes)
    except DigitflowError:
        raise
    except Exception as error:  # readers of damaged files raise all kinds of errors
        if is_transient(error):
            raise DigitflowError(f"{path} cannot be read now: {error}; run again when it can") from error
        what = " ".join(str(error).split())
        raise BadSource(f"{path.name} cannot be read: {what}; give {BATCH_FORMATS}") from None


def dataset_named_in(path: Path) -> str | None:
    """The data set that an .npz file names in its array `dataset`, if it names one."""
    with contextlib.suppress(Exception), zipfile.ZipFile(path) as archive:  # read_batch reports damage
        if archive.getinfo("dataset.npy").file_size < 1 << 12:
            return str(np.lib.format.read_array(archive.open("dataset.npy"), allow_pickle=False)) or None
    return None


def _read_npz(path: Path, max_bytes: int) -> tuple[RawImages, Labels]:
    with zipfile.ZipFile(path) as archive:
        if sum(item.file_size for item in archive.infolist()) > max_bytes:
            raise BadSource(f"{path.name} unpacks to more than {max_bytes:,} bytes")
    with np.load(path, allow_pickle=False) as arrays:
        return _checked(path, arrays["images"], arrays["labels"])


def _read_idx(path: Path, store: Store, max_bytes: int) -> tuple[RawImages, Labels]:
    pair = []
    for kind, dimensions in (("images-idx3", 3), ("labels-idx1", 1)):
        files = sorted(path.glob(f"*{kind}*"))
        if len(files) != 1:
            raise BadSource(f"{path.name} has {len(files)} files named like {kind}, not one; give {BATCH_FORMATS}")
        with store.scratch() as folder:
            idx.decompress(files[0], folder / files[0].name, max_bytes)
            pair.append(store.get(idx.store_array(folder / files[0].name, dimensions, store)))
    return _checked(path, *pair)


def _read_pictures(path: Path, max_bytes: int) -> tuple[RawImages, Labels]:
    with (path / "labels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    if not rows or not {"file", "label"} <= rows[0].keys():
        raise BadSource(f"{path.name}/labels.csv needs the columns file and label, and a row for each image")
    images, size = [], 0
    for row in rows:
        images.append(_read_picture(path, row["file"]))
        size += images[-1].size
        if size > max_bytes:
            raise BadSource(f"{path.name} unpacks to more than {max_bytes:,} bytes")
    if len({image.shape for image in images}) > 1:
        raise BadSource(f"{path.name} has images of several sizes; scale them to one")
    return _checked(path, np.stack(images), np.array([int(row["label"]) for row in rows]))


def _read_picture(path: Path, name: str) -> np.ndarray:
    picture = (path / name).resolve()
    if not picture.is_relative_to(path.resolve()):
        raise BadSource(f"{path.name}/labels.csv names {name}, which is outside the folder")
    try:
        return decode(picture).pixels
    except BadSource as error:
        raise BadSource(f"{path.name}/{name} {error}") from None


def _checked(path: Path, images: np.ndarray, labels: np.ndarray) -> tuple[RawImages, Labels]:
    if images.dtype != np.uint8 or images.ndim != 3 or labels.shape != images.shape[:1] or not len(images):
        raise BadSource(
            f"{path.name} has images {images.shape} {images.dtype} and labels {labels.shape}, not uint8 "
            "(n, height, width) and (n,) with at least one image"
        )
    if not np.issubdtype(labels.dtype, np.integer) or labels.min() < 0 or labels.max() > 255:
        raise BadSource(f"{path.name} has labels that are not whole numbers from 0 to 255")
    return images, labels.astype(np.uint8)
