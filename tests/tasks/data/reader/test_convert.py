"""Arrays become images and labels where they can mean one thing, and are refused, with what they hold, where not."""

from pathlib import Path

import numpy as np
import pytest

from artifacts.errors import BadSource
from tasks.data.reader.arrays import PlainArray, open_plain
from tasks.data.reader.convert import as_images, as_label_values
from tests.conftest import Arrays


def plain(array: np.ndarray, folder: Path) -> PlainArray:
    np.save(folder / "array.npy", array)
    return open_plain(folder / "array.npy", "array.npy", "npy", 10**8)


def images_of(array: np.ndarray, folder: Path, count: int | None = None) -> tuple[np.ndarray, tuple[str, ...]]:
    found = as_images(plain(array, folder), count=count)
    return np.concatenate(list(found.chunks())), found.changes


@pytest.mark.parametrize(
    "change",
    [
        lambda a: a,
        np.asfortranarray,
        lambda a: a[..., np.newaxis],
        lambda a: a[:, np.newaxis],
        lambda a: a.reshape(len(a), -1),
        lambda a: a.astype(np.int64),
        lambda a: a.astype(">i4"),
        lambda a: a.astype(np.float64),
        lambda a: (a / 255).astype(np.float32),
        lambda a: a.astype(np.uint16) << 2,
        lambda a: a.astype(np.uint16) << 8,
        lambda a: np.repeat(a[..., np.newaxis], 3, axis=3),
        lambda a: np.repeat(a[:, np.newaxis], 3, axis=1),
    ],
)
def test_one_meaning(change: object, digits: Arrays, tmp_path: Path) -> None:
    """The same images come from every form in which libraries keep them."""
    images, _ = images_of(change(digits[0][:30]), tmp_path)  # type: ignore[operator]
    np.testing.assert_array_equal(images, digits[0][:30])


@pytest.mark.parametrize("bits", [8, 9, 10, 12, 14, 16])
def test_each_depth_is_scaled_by_its_own_range(bits: int, digits: Arrays, tmp_path: Path) -> None:
    """Sixteen bits of which fewer are used give the same images as eight, within one grey level; it is said."""
    wide = (digits[0][:9].astype(np.uint32) * (2**bits - 1) // 255).astype(np.uint16)
    images, changes = images_of(wide, tmp_path)
    assert np.abs(images.astype(int) - digits[0][:9]).max() <= 1
    assert changes == {8: (), 16: ("16 bits made 8",)}.get(bits, (f"{bits} of 16 bits made 8",))


def test_an_offset_is_removed(digits: Arrays, tmp_path: Path) -> None:
    """Values that lie close together and far from 0 are spread, and it is said between which they lay."""
    images, changes = images_of(digits[0][:9].astype(np.uint16) + 30_000, tmp_path)
    np.testing.assert_array_equal(images, digits[0][:9])
    assert changes == ("values of 30,000 to 30,255 made 0 to 255",)


def test_labels_tell_how_many_images_there_are(digits: Arrays, tmp_path: Path) -> None:
    """Images of 4 pixels a side are no colours, and rows are no picture, if there is a label for each."""
    small = np.ascontiguousarray(digits[0][:30, 2:6, 2:6])
    np.testing.assert_array_equal(images_of(small, tmp_path, count=30)[0], small)
    smooth = np.add.outer(np.arange(30), np.arange(64)).astype(np.uint8)
    assert images_of(smooth, tmp_path, count=30)[0].shape == (30, 8, 8)
    assert images_of(smooth, tmp_path)[0].shape == (1, 30, 64)


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.full((2, 8, 8), -1), "values from -1 to -1"),
        (np.full((2, 8, 8), 300.5), "values from 300.5"),
        (np.full((2, 8, 8), np.inf), "no finite numbers"),
        (np.zeros((2, 8, 8, 5), np.uint8), r"\(2, 8, 8, 5\), not \(n, height, width\)"),
        (np.zeros(64, np.uint8), r"\(64,\)"),
        (np.zeros((2, 0, 8), np.uint8), "no images have"),
        (np.array([["a", "b"]] * 2), "not numbers"),
    ],
)
def test_no_meaning(array: np.ndarray, words: str, tmp_path: Path) -> None:
    """What cannot be images is refused with what was found."""
    with pytest.raises(BadSource, match=words):
        images_of(array, tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        lambda y: y,
        lambda y: y[:, np.newaxis],
        lambda y: y[np.newaxis],
        lambda y: y.astype(np.float32),
        lambda y: np.eye(10, dtype=np.uint8)[y],
        lambda y: np.eye(10, dtype=bool)[y],
        lambda y: np.eye(10)[y],
        lambda y: y.astype(np.int64),
    ],
)
def test_labels(change: object, digits: Arrays) -> None:
    """Labels in a row, a column, as floats or one-hot are the same labels."""
    np.testing.assert_array_equal(as_label_values(change(digits[1]), "labels"), digits[1])  # type: ignore[operator]


def test_names_are_labels() -> None:
    """Texts are labels as they are, without the spaces around them."""
    assert as_label_values(np.array(["cat ", "dog"]), "labels").tolist() == ["cat", "dog"]


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (np.array([1.0, 2.5]), "labels holds 2.5 at position 1"),
        (np.array([1.0, np.nan]), "labels holds nan at position 1"),
        (np.array([[1, 2], [3, 4]]), "of which column is the label"),
        (np.zeros((2, 2, 2)), "one number for each image"),
        (np.array([1j]), "complex128"),
    ],
)
def test_no_labels(labels: np.ndarray, words: str) -> None:
    """What is not one whole number or name an image is refused, and the value that is not is quoted."""
    with pytest.raises(BadSource, match=words):
        as_label_values(labels, "labels")
