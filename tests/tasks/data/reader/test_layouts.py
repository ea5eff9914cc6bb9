"""Every way in which people lay out their data is read to the same arrays; what is no data is refused in words."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from artifacts.errors import UsageError
from artifacts.storage.store import Store
from tasks.data import idx
from tasks.data.reader.layouts import find_data
from tests.conftest import Arrays, write_idx
from tests.tasks.data.reader.conftest import (
    arrays_of,
    class_folders,
    idx_files,
    labelled_pictures,
    pixel_table,
    stored,
)


@pytest.fixture
def few(digits: Arrays) -> Arrays:
    """60 digits to train on, and 20 to test."""
    return digits[0][:60], digits[1][:60], digits[2][:20], digits[3][:20]


IDX_NAMES: dict[str, Callable[[str, int], str]] = {
    "as LeCun named them": lambda start, n: f"{start}-idx{n}-ubyte",
    "with a dot": lambda start, n: f"{start}.idx{n}-ubyte",
    "upper case": lambda start, n: f"{start}-idx{n}-ubyte".upper(),
    "as EMNIST": lambda start, n: f"emnist-digits-{start.replace('t10k', 'test')}-idx{n}-ubyte",
    "with underscores": lambda start, n: f"{start.replace('-', '_').replace('t10k', 'test')}.idx",
    "gzipped": lambda start, n: f"{start}-idx{n}-ubyte.gz",
}


@pytest.mark.parametrize("names", IDX_NAMES)
def test_idx_files_under_every_name(names: str, few: Arrays, store: Store, tmp_path: Path) -> None:
    """Four IDX files are read under every name in use, gzipped or not, beside what systems leave there."""
    folder = idx_files(tmp_path / "mine", few, IDX_NAMES[names], packed=names in ("gzipped", "as EMNIST"))
    for name in [path.name for path in folder.iterdir()]:
        (folder / f"._{name}").write_bytes(bytes.fromhex("00051607"))
    (folder / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    for read, array in zip(arrays_of(folder, store), few, strict=True):
        np.testing.assert_array_equal(read, array)
    assert not stored(folder, store).notes


def keras(folder: Path, arrays: Arrays) -> Path:
    np.savez(folder / "keras.npz", **dict(zip(("x_train", "y_train", "x_test", "y_test"), arrays, strict=True)))  # type: ignore[arg-type]
    return folder / "keras.npz"


def positional(folder: Path, arrays: Arrays) -> Path:
    np.savez(folder / "numbered.npz", *arrays)
    return folder / "numbered.npz"


def file_an_array(folder: Path, arrays: Arrays) -> Path:
    """As Kuzushiji-49: each array in an .npz of its own, as arr_0."""
    for name, array in zip(("train-imgs", "train-labels", "test-imgs", "test-labels"), arrays, strict=True):
        np.savez_compressed(folder / f"k49-{name}.npz", array)
    return folder


def npy_files(folder: Path, arrays: Arrays) -> Path:
    for name, array in zip(("train_images", "train_labels", "test_images", "test_labels"), arrays, strict=True):
        np.save(folder / f"{name}.npy", array)
    return folder


def two_tables(folder: Path, arrays: Arrays) -> Path:
    pixel_table(folder / "mnist_train.csv", *arrays[:2])
    pixel_table(folder / "mnist_test.csv", *arrays[2:], header=False)
    return folder


def split_folders(folder: Path, arrays: Arrays) -> Path:
    class_folders(folder / "train", *arrays[:2], prefix="")
    class_folders(folder / "test", *arrays[2:], prefix="")
    return folder


def one_folder_deep(folder: Path, arrays: Arrays) -> Path:
    write_idx(folder / "gzip", arrays)
    return folder


@pytest.mark.parametrize(
    "write", [keras, positional, file_an_array, npy_files, two_tables, split_folders, one_folder_deep]
)
def test_layouts_with_both_splits(
    write: Callable[[Path, Arrays], Path], few: Arrays, store: Store, tmp_path: Path
) -> None:
    """Each layout that has both splits gives each image with its label; class folders give them class by class."""
    (tmp_path / "mine").mkdir()
    read = arrays_of(write(tmp_path / "mine", few), store)
    for images, labels, wanted, expected in ((*read[:2], *few[:2]), (*read[2:], *few[2:])):
        pairs = [(label, image.tobytes()) for image, label in zip(images, labels.tolist(), strict=True)]
        assert sorted(pairs) == sorted(
            (label, image.tobytes()) for image, label in zip(wanted, expected.tolist(), strict=True)
        )


LABEL_TABLES = {
    "plain": ("utf-8", "file,label", "{i}.png,{label}"),
    "byte-order mark": ("utf-8-sig", "file,label", "{i}.png,{label}"),
    "semicolons": ("utf-8", "file;label", "{i}.png;{label}"),
    "tabs": ("utf-16", "file\tlabel", "{i}.png\t{label}"),
    "decimals": ("utf-8", "file,label", "{i}.png,{label}.0"),
    "decimal commas": ("utf-8", "file;label", "{i}.png;{label},0"),
    "capitals and spaces": ("utf-8", "File, Label ", "{i}.png, {label} "),
    "other names": ("utf-8", "id,filename,class", "{i},{i}.png,{label}"),
    "without suffix": ("utf-8", "image,target", "{i},{label}"),
    "quoted": ("utf-8", '"file","label"', '"{i}.png","{label}"'),
    "carriage returns": ("utf-8", "file,label\r", "{i}.png,{label}\r"),
}


@pytest.mark.parametrize("kind", LABEL_TABLES)
def test_labels_as_spreadsheets_write_them(kind: str, few: Arrays, store: Store, tmp_path: Path) -> None:
    """A labels.csv is read in every form that spreadsheets give it; labels stay whole numbers."""
    encoding, header, row = LABEL_TABLES[kind]
    lines = [header, *(row.format(i=i, label=label) for i, label in enumerate(few[1].tolist()))]
    folder = labelled_pictures(tmp_path / "mine", few[0], "\n".join(lines).encode(encoding))
    train_x, train_y, test_x, test_y = arrays_of(folder, store)
    known = {image.tobytes(): label for image, label in zip(few[0], few[1].tolist(), strict=True)}
    for image, label in zip([*train_x, *test_x], [*train_y, *test_y], strict=True):
        assert known[np.asarray(image).tobytes()] == label
    assert len(train_y) + len(test_y) == len(few[1]) and not stored(folder, store).splits.class_names


def test_folder_names_are_class_names(few: Arrays, store: Store, tmp_path: Path) -> None:
    """Classes are called as their folders, in the order in which people sort them; numbers from 0 need no name."""
    labels = few[1] + 5
    named = stored(class_folders(tmp_path / "named", few[0], labels), store).splits
    assert named.class_names == tuple(f"digit {i}" for i in range(5, 15))
    numbered = stored(class_folders(tmp_path / "numbered", few[0], few[1], prefix=""), store).splits
    assert numbered.class_names == ()
    (tmp_path / "numbered" / "classes.txt").write_text("\ufeff" + "\n".join("abcdefghij"))
    assert stored(tmp_path / "numbered", store).splits.class_names == ()  # the folders have their own names
    idx_folder = write_idx(tmp_path / "idx", few)
    (idx_folder / "classes.txt").write_text("\n".join("abcdefghij"))
    assert stored(idx_folder, store).splits.class_names == tuple("abcdefghij")


@pytest.mark.usefixtures("without_heic")
def test_what_is_left_out_is_counted(few: Arrays, store: Store, tmp_path: Path) -> None:
    """Files that are not read are counted by their suffixes; those of systems are not worth a word."""
    folder = class_folders(tmp_path / "mine", *few[:2])
    for name in ("digit 1/a.heic", "digit 2/b.HEIC", "digit 3/notes.txt", "digit 1/.DS_Store", "digit 1/Thumbs.db"):
        (folder / name).write_text("x")
    (folder / "__MACOSX").mkdir()
    (folder / "__MACOSX" / "._1.png").write_text("x")
    remarks = find_data(folder).remarks
    assert remarks == ["left out: 3 files: .heic 2, .txt 1; install digitflow[heic] to read HEIC"]


@pytest.mark.parametrize(("age", "used"), [(-3600, "plain"), (0, "plain"), (3600, "packed")])
def test_newer_of_a_file_and_its_gzip(age: int, used: str, few: Arrays, store: Store, tmp_path: Path) -> None:
    """Of a file and its gzip the newer one is read, the plain one if they are of one age; a line says which."""
    folder = write_idx(tmp_path / "mine", few, packed=False)
    other = write_idx(tmp_path / "other", (few[0], (few[1] + 1) % 10, *few[2:]))
    plain, packed = folder / "train-labels-idx1-ubyte", folder / "train-labels-idx1-ubyte.gz"
    packed.write_bytes((other / packed.name).read_bytes())
    os.utime(packed, (plain.stat().st_mtime + age,) * 2)
    labels = arrays_of(folder, store)[1]
    np.testing.assert_array_equal(labels, few[1] if used == "plain" else (few[1] + 1) % 10)
    (remark,) = find_data(folder).remarks
    assert remark.startswith(f"{(plain if used == 'plain' else packed).name} is read, and not ")


def lacks_labels(folder: Path, few: Arrays) -> None:
    write_idx(folder, few)
    (folder / "t10k-labels-idx1-ubyte.gz").unlink()


def two_data_sets(folder: Path, few: Arrays) -> None:
    for name in ("digits", "letters"):
        for start, array in zip(("train-images", "train-labels"), few[:2], strict=True):
            (folder / f"emnist-{name}-{start}-idx{array.ndim}-ubyte").write_bytes(idx.encode(array))


def odd_names(folder: Path, few: Arrays) -> None:
    np.savez(folder / "a.npz", first=few[0], second=few[0])


def pickled(folder: Path, few: Arrays) -> None:
    np.savez(folder / "a.npz", images=few[0], labels=np.array([object()] * 60))


def unlabelled(folder: Path, few: Arrays) -> None:
    Image.fromarray(few[0][0]).save(folder / "a.png")


def wrong_header(folder: Path, few: Arrays) -> None:
    (folder / "labels.csv").write_text("name,value\n0.png,1\n")


def outside(folder: Path, few: Arrays) -> None:
    Image.fromarray(few[0][0]).save(folder.parent / "secret.png")
    (folder / "labels.csv").write_text("file,label\n../secret.png,1\n")


def other_files(folder: Path, few: Arrays) -> None:
    (folder / "report.pdf").write_text("x")


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (lacks_labels, ["lacks the test labels (t10k-labels-idx1-ubyte)", "train-images-idx3-ubyte.gz (60 × 8 × 8"]),
        (two_data_sets, ["holds 2 arrays of train images", "emnist-letters-train-images", "keep one"]),
        (odd_names, ["holds 2 arrays of train images: first (60 × 8 × 8, uint8), second (60 × 8 × 8, uint8)"]),
        (pickled, ["array labels holds object, not numbers"]),
        (unlabelled, ["holds pictures (1 file: .png 1), but nothing says what is in each", "labels.csv"]),
        (wrong_header, ["needs the columns file and label; its first row is 'name', 'value'"]),
        (outside, ["names ../secret.png, which is outside the folder"]),
        (other_files, ["holds no data set (1 file: .pdf 1)", "a folder a class"]),
        (lambda folder, few: None, ["holds no data set (it is empty)"]),
    ],
)
def test_no_data_set(write: Callable[[Path, Arrays], None], words: list[str], few: Arrays, tmp_path: Path) -> None:
    """What is no data set is refused in one message, which says what was found there and what is missing."""
    (tmp_path / "mine").mkdir()
    write(tmp_path / "mine", few)
    with pytest.raises(UsageError) as refused:
        find_data(tmp_path / "mine")
    assert str(refused.value).startswith(f"{tmp_path / 'mine'}: ")
    for word in words:
        assert word in str(refused.value)


def test_validation_images_are_no_test_images(few: Arrays, store: Store, tmp_path: Path) -> None:
    """Of three splits the validation split is left out, and said; beside a training split alone it is the test."""
    for name, part in (("train", few[:2]), ("val", few[2:]), ("test", (few[2][:9], few[3][:9]))):
        class_folders(tmp_path / "mine" / name, *part)
    found = find_data(tmp_path / "mine")
    assert found.test is not None and len(found.test.contents) == 9 and found.remarks == ["left out: 20 files: .png 20"]


@pytest.mark.parametrize("beside", [[], ["a folder"]])
def test_table_that_holds_no_images(beside: list[str], tmp_path: Path) -> None:
    """A table that cannot be used is refused with its first row, whatever lies beside it."""
    for name in beside:
        (tmp_path / name).mkdir()
    (tmp_path / "bad.csv").write_text("a,b\n1,2\n")
    with pytest.raises(UsageError, match="whose first row is 'a', 'b'; it needs a column label"):
        find_data(tmp_path / "bad.csv")
