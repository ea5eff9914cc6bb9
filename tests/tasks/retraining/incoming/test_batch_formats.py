"""Each format of a batch gives the same arrays; pictures are fitted; what cannot be learned from is refused at once."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from artifacts.errors import BadSource, UsageError
from artifacts.storage.store import Store
from tasks.data import idx
from tasks.pictures.conventions import MNIST
from tasks.retraining.incoming.batch_formats import Target, check_batch, load_batch, read_batch
from tests.pictures import seven
from tests.tasks.data.reader.conftest import class_folders, pixel_table
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


def dotted(folder: Path, images: np.ndarray, labels: np.ndarray) -> Path:
    """Write a batch as an IDX pair in upper case and with dots, beside what macOS leaves."""
    folder.mkdir()
    (folder / "TRAIN-IMAGES.IDX3-UBYTE").write_bytes(idx.encode(images))
    (folder / "TRAIN-LABELS.IDX1-UBYTE").write_bytes(idx.encode(labels))
    (folder / "._TRAIN-LABELS.IDX1-UBYTE").write_bytes(bytes.fromhex("00051607"))
    return folder


def keras(path: Path, images: np.ndarray, labels: np.ndarray) -> Path:
    np.savez(path, x_train=images[..., np.newaxis], y_train=np.eye(10)[labels], x_test=images[:1], y_test=labels[:1])
    return path


def spreadsheet(folder: Path, images: np.ndarray, labels: np.ndarray) -> Path:
    """Write a batch as pictures with a labels.csv that a spreadsheet saved."""
    pictures(folder, images, labels)
    rows = [f"{i}.png;{label}.0" for i, label in enumerate(labels)]
    (folder / "labels.csv").write_text("\n".join(["File; Label", *rows]), "utf-8-sig")
    return folder


FORMATS = [
    *((npz, "batch.npz"), (pictures, "batch"), (idx_pair, "batch"), (dotted, "batch"), (keras, "batch.npz")),
    *((spreadsheet, "batch"), (pixel_table, "batch.csv")),
]


@pytest.mark.parametrize(("write", "name"), FORMATS)
def test_every_format(
    write: Callable[..., Path], name: str, *, store: Store, tmp_path: Path, new_digits: Batch
) -> None:
    """The same images and labels come out of each format, and each is taken at once."""
    path = write(tmp_path / name, new_digits[0][:20], new_digits[1][:20])
    images, labels = read_batch(path, store, LIMIT)
    np.testing.assert_array_equal(images, new_digits[0][:20])
    np.testing.assert_array_equal(labels, new_digits[1][:20])
    check_batch(path, store, LIMIT, [Target((8, 8))])


def test_a_folder_a_class(store: Store, tmp_path: Path, new_digits: Batch) -> None:
    """Folders that are called as the classes of the data set give their labels; others are refused."""
    images, labels = new_digits[0][:20], new_digits[1][:20]
    path = class_folders(tmp_path / "batch", images, labels)
    names = tuple(f"digit {i}" for i in range(10))
    batch = load_batch(path, store, LIMIT, Target((8, 8), class_names=names))
    assert sorted(batch.labels) == sorted(labels)
    with pytest.raises(UsageError, match="batch: has the label 'digit 0', but the classes of the data set are whole"):
        check_batch(path, store, LIMIT, [Target((8, 8))])
    check_batch(path, store, LIMIT)  # before there is a model, nobody knows the names of its classes


def test_scans_are_fitted(store: Store, tmp_path: Path) -> None:
    """Pictures of any size, dark on light, become images as the data set has them."""
    scans = np.stack([255 - np.pad(seven(200), side) for side in ((40, 80), (10, 10))][:1] * 2)
    path = pictures(tmp_path / "batch", scans, np.array([7, 7]))
    batch = load_batch(path, store, LIMIT, Target((28, 28), MNIST))
    assert batch.images.shape == (2, 28, 28) and batch.is_fitted and batch.labels.tolist() == [7, 7]
    rows = np.flatnonzero(batch.images[0].max(axis=1))
    assert batch.images[0][0].max() == 0 and rows[-1] - rows[0] in (18, 19, 20)


def test_arrays_of_another_size_are_fitted(store: Store, tmp_path: Path) -> None:
    """Arrays of another size than the data set's are fitted too, and those of its size stay as they are."""
    large = npz(tmp_path / "large.npz", np.stack([seven(56)] * 3), np.array([7] * 3))
    assert load_batch(large, store, LIMIT, Target((28, 28))).images.shape == (3, 28, 28)
    own = npz(tmp_path / "own.npz", np.stack([seven(28)] * 3), np.array([7] * 3))
    batch = load_batch(own, store, LIMIT, Target((28, 28)))
    np.testing.assert_array_equal(batch.images, np.stack([seven(28)] * 3))
    assert not batch.is_fitted


def test_a_few_unusable_pictures_are_left_out(store: Store, tmp_path: Path, new_digits: Batch) -> None:
    """One unreadable picture among many is left out, and said; many are the batch's fault."""
    path = pictures(tmp_path / "batch", new_digits[0][:20], new_digits[1][:20])
    (path / "3.png").write_bytes(b"torn")
    assert len(load_batch(path, store, LIMIT, Target((8, 8))).labels) == 19
    (remark,) = check_batch(path, store, LIMIT, [Target((8, 8))]).remarks
    assert remark.startswith("left out: 1 file cannot be read: 3.png is no PNG")
    for i in range(4, 9):
        (path / f"{i}.png").write_bytes(b"torn")
    with pytest.raises(UsageError, match=r"6 files cannot be read: 3\.png is no PNG"):
        check_batch(path, store, LIMIT, [Target((8, 8))])


@pytest.mark.parametrize(
    ("images", "labels", "words"),
    [
        (np.zeros((3, 8, 8), np.uint8), np.zeros(3, int), "every pixel is 0"),
        (np.full((3, 8, 8), 7.5), np.zeros(3, int), "all pixels are the same"),
        (np.full((3, 8, 8), -7.5), np.zeros(3, int), "batch.npz: images has float64 values from -7.5"),
        (np.eye(8)[np.newaxis] * 9, np.array([0.5]), "labels holds 0.5 at position 0"),
        (np.eye(8)[np.newaxis] * 9, np.array([300]), "labels from 300 to 300"),
        (np.eye(8)[np.newaxis] * 9, np.array([1, 2]), "has 1 images and 2 labels"),
    ],
)
def test_bad_batches_are_refused_at_once(
    images: np.ndarray, labels: np.ndarray, words: str, *, store: Store, tmp_path: Path
) -> None:
    """What no data set could learn from is refused before it is in the inbox, with what was found."""
    with pytest.raises(UsageError, match=words):
        check_batch(npz(tmp_path / "batch.npz", images, labels), store, LIMIT)


@pytest.mark.parametrize("text", ["file,label\n../secret.png,1\n", "name,value\na.png,1\n", "file,label\na.png,x\n"])
def test_unusable_label_files(text: str, store: Store, tmp_path: Path) -> None:
    """A labels.csv that leaves its folder, lacks a column or has no numbers is refused."""
    (tmp_path / "batch").mkdir()
    (tmp_path / "batch" / "labels.csv").write_text(text)
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "batch" / "a.png")
    with pytest.raises(BadSource, match="batch"):
        read_batch(tmp_path / "batch", store, LIMIT)
