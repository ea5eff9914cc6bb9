"""A data set is stored as it was read, or refused with every reason; test images are held out by content."""

import logging
from pathlib import Path

import numpy as np
import pytest

from artifacts.errors import DigitflowError, InvalidData
from artifacts.storage.store import Store
from tasks.data.reader.place import locate_data
from tasks.data.reader.read import held_out, read
from tests.conftest import Arrays, write_idx
from tests.tasks.data.reader.conftest import LIMIT, class_folders, stored


def test_held_out_images_stay_held_out(digits: Arrays) -> None:
    """An image's content alone decides on which side it is: its place, copies and other images do not change it."""
    images, labels = digits[0][:500], digits[1][:500]
    mask = held_out(iter([images[:300], images[300:]]), labels)
    assert 0.1 < mask.mean() < 0.3 and set(labels[mask]) == set(range(10))
    order = np.random.default_rng(0).permutation(500)
    np.testing.assert_array_equal(held_out(iter([images[order]]), labels[order]), mask[order])
    more = held_out(iter([digits[0]]), digits[1])
    np.testing.assert_array_equal(more[:500], mask)
    twice = held_out(iter([images, images]), np.concatenate([labels, labels]))
    np.testing.assert_array_equal(twice, [*mask, *mask])


def test_each_class_has_a_test_image(digits: Arrays) -> None:
    """A class too small for the share has one held-out image, with its copies; a class of one image has none."""
    images = np.concatenate([digits[0][:40], digits[0][500:502], digits[0][501:502], digits[0][600:601]])
    labels = np.array([0] * 40 + [1] * 3 + [2], np.uint8)
    for _ in range(3):
        mask = held_out(iter([images]), labels)
        assert mask[40:43].any() and not mask[40:43].all() and mask[41] == mask[42]
        images = 255 - images


def test_the_step_gives_what_is_there(digits_folder: Path, digits: Arrays, store: Store) -> None:
    """The step stores exactly the arrays of the files, and leaves nothing unpacked behind."""
    source, place = locate_data(str(digits_folder), store.home, LIMIT)
    splits = read.fn(source, place, store)
    for ref, array in zip((splits.train.images, splits.train.labels), digits[:2], strict=True):
        np.testing.assert_array_equal(store.get(ref), array)
    assert not list((store.home / "tmp").iterdir())


def test_what_was_assumed_is_said(
    digits: Arrays, store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The step says how many images it held out, by which rule, and what was made of the pictures."""
    folder = class_folders(tmp_path / "mine", digits[0][:60], digits[1][:60])
    source, place = locate_data(str(folder), store.home, LIMIT)
    with caplog.at_level(logging.INFO, "tasks"):
        splits = read.fn(source, place, store)
    assert f"{splits.test.labels.shape[0]} of 60 images are held out for the test" in caplog.text
    assert "share 1/5, seed 0" in caplog.text


def test_data_that_change_are_not_mixed(digits: Arrays, store: Store, tmp_path: Path) -> None:
    """A file that changed after the run was planned ends it."""
    folder = write_idx(tmp_path / "mine", digits, packed=False)
    source, place = locate_data(str(folder), store.home, LIMIT)
    path = folder / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-1] + b"\7")
    with pytest.raises(DigitflowError, match="changed while it was read"):
        read.fn(source, place, store)


def test_every_flaw_is_named(digits: Arrays, store: Store, tmp_path: Path) -> None:
    """All that keeps a data set from being read is in one error, with a report; nothing is stored."""
    for name, array in (("train-images", digits[0].astype(np.float32)), ("t10k-labels", digits[3].astype(np.int32))):
        folder = write_idx(tmp_path / "mine", digits, packed=False)
        code = {"f": 0x0D, "i": 0x0C}[array.dtype.kind]
        header = bytes((0, 0, code, array.ndim)) + np.array(array.shape, ">u4").tobytes()
        dimension = 3 if "images" in name else 1
        (folder / f"{name}-idx{dimension}-ubyte").write_bytes(
            header + array.astype(array.dtype.newbyteorder(">")).tobytes()
        )
        if name == "train-images":
            held = (folder / "train-images-idx3-ubyte").read_bytes()
    (folder / "train-images-idx3-ubyte").write_bytes(held)
    with pytest.raises(InvalidData) as refused:
        stored(folder, store)
    for words in ("holds float32 numbers (1,500 × 8 × 8)", "holds int32 numbers (297)"):
        assert words in str(refused.value)
    assert len(refused.value.report["errors"]) == 2  # type: ignore[arg-type]
    assert not (store.home / "objects").exists()
