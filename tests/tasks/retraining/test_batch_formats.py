"""Each format of a batch gives the same arrays, and unusable files are refused."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from artifacts.errors import BadSource
from artifacts.storage.store import Store
from tasks.data import idx
from tasks.retraining.batch_formats import read_batch
from tests.tasks.retraining.conftest import LIMIT, Batch, npz


def pictures(folder: Path, images: np.ndarray, labels: np.ndarray) -> Path:
    """Write a batch as pictures with a labels.csv."""
    folder.mkdir(parents=True)
    with (folder / "labels.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("file", "label"))
        for i, (image, label) in enumerate(zip(images, labels, strict=True)):
            Image.fromarray(image).save(folder / f"{i}.png")
            rows.writerow((f"{i}.png", label))
    return folder


def idx_pair(folder: Path, images: np.ndarray, labels: np.ndarray) -> Path:
    """Write a batch as an IDX pair."""
    folder.mkdir()
    (folder / "new-images-idx3-ubyte").write_bytes(idx.encode(images))
    (folder / "new-labels-idx1-ubyte").write_bytes(idx.encode(labels))
    return folder


@pytest.mark.parametrize(("write", "name"), [(npz, "batch.npz"), (pictures, "batch"), (idx_pair, "batch")])
def test_every_format(
    write: Callable[..., Path], name: str, *, store: Store, tmp_path: Path, new_digits: Batch
) -> None:
    """The same images and labels come out of each format."""
    path = write(tmp_path / name, new_digits[0][:20], new_digits[1][:20])
    images, labels = read_batch(path, store, LIMIT)
    np.testing.assert_array_equal(images, new_digits[0][:20])
    np.testing.assert_array_equal(labels, new_digits[1][:20])


@pytest.mark.parametrize("text", ["file,label\n../secret.png,1\n", "name,label\na.png,1\n", "file,label\na.png,x\n"])
def test_unusable_label_files(text: str, store: Store, tmp_path: Path) -> None:
    """A labels.csv that leaves its folder, lacks a column or has no numbers is refused."""
    (tmp_path / "batch").mkdir()
    (tmp_path / "batch" / "labels.csv").write_text(text)
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "batch" / "a.png")
    with pytest.raises(BadSource, match="batch"):
        read_batch(tmp_path / "batch", store, LIMIT)
