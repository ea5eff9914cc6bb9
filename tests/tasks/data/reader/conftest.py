"""Real digits laid out as people lay out their data, and what is read of them."""

import csv
import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from artifacts.storage.store import Store
from tasks.data import idx
from tasks.data.reader.layouts import find_data
from tasks.data.reader.parts import Reading
from tasks.data.reader.read import Stored, store_data
from tests.conftest import Arrays

LIMIT = 10**7
FOUR = ("train-images", "train-labels", "t10k-images", "t10k-labels")


def stored(path: Path, store: Store) -> Stored:
    """Read and store whatever lies at a path."""
    with store.scratch() as folder:
        return store_data(find_data(path), Reading(folder, LIMIT), store)


def arrays_of(path: Path, store: Store) -> Arrays:
    """The four arrays that are read from a path."""
    splits = stored(path, store).splits
    refs = (splits.train.images, splits.train.labels, splits.test.images, splits.test.labels)
    return tuple(map(store.get, refs))  # type: ignore[return-value]


def idx_files(folder: Path, arrays: Arrays, name: Callable[[str, int], str], packed: bool = False) -> Path:
    """Four IDX files whose names `name` makes of "train-images" and the like, and their number of dimensions."""
    folder.mkdir(parents=True)
    for start, array in zip(FOUR, arrays, strict=True):
        data = idx.encode(array)
        (folder / name(start, array.ndim)).write_bytes(gzip.compress(data) if packed else data)
    return folder


def class_folders(folder: Path, images: np.ndarray, labels: np.ndarray, prefix: str = "digit ") -> Path:
    """A folder a class, each with its pictures."""
    for i, (image, label) in enumerate(zip(images, labels.tolist(), strict=True)):
        place = folder / f"{prefix}{label}"
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(place / f"{i}.png")
    return folder


def pixel_table(path: Path, images: np.ndarray, labels: np.ndarray, header: bool = True, delimiter: str = ",") -> Path:
    """A label and the pixels of an image in each row, as Kaggle has them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        rows = csv.writer(file, delimiter=delimiter)
        rows.writerows([["label", *(f"pixel{i}" for i in range(images[0].size))]] if header else [])
        rows.writerows([label, *image.ravel()] for image, label in zip(images, labels.tolist(), strict=True))
    return path


def labelled_pictures(folder: Path, images: np.ndarray, table: bytes) -> Path:
    """Pictures 0.png, 1.png … and their labels.csv."""
    folder.mkdir(parents=True)
    for i, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{i}.png")
    (folder / "labels.csv").write_bytes(table)
    return folder


def dotted_name(start: str, dimensions: int) -> str:
    return f"{start}.idx{dimensions}-ubyte"
