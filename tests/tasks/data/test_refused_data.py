"""What has no one meaning is refused by every door with the same sentence, and faults have a way on."""

import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from artifacts.errors import DigitflowError, UsageError
from artifacts.storage.store import Store
from tasks.data import idx
from tasks.data.inspection.inspect import inspect, refuse_unsound
from tasks.data.reader.layouts import find_data
from tasks.data.reader.place import locate_data
from tasks.retraining.incoming.batch_formats import check_batch
from tests.conftest import Arrays, write_idx
from tests.tasks.data.inspection.test_inspect import faulty, framed
from tests.tasks.data.peoples_data import PIXELS, TARGET, Write, idx_pair, labels_csv, npz, of_images, table
from tests.tasks.data.reader.conftest import LIMIT, labelled_pictures


def idx_of(code: int, *, images: np.dtype | None = None, labels: int = 0) -> Write:
    """IDX files of other types: images of `images`, or rows of so many `labels`."""

    def encode(array: np.ndarray) -> bytes:
        big = array.astype(array.dtype.newbyteorder(">"))
        return bytes((0, 0, code, array.ndim)) + np.array(array.shape, ">u4").tobytes() + big.tobytes()

    def write(folder: Path, own: np.ndarray, targets: np.ndarray) -> Path:
        mine = idx_pair(lambda start, n: f"{start}-idx{n}-ubyte")(folder, own, targets)
        if images is not None:
            (mine / "train-images-idx3-ubyte").write_bytes(encode((own / 255).astype(images)))
        if labels:
            rows = np.zeros((len(targets), labels), np.int32)
            (mine / "train-labels-idx1-ubyte").write_bytes(encode(rows))
        return mine

    return write


def rank_4(folder: Path, images: np.ndarray, labels: np.ndarray) -> Path:
    mine = idx_pair(lambda start, n: f"{start}-idx{n}-ubyte")(folder, images, labels)
    (mine / "train-images-idx3-ubyte").write_bytes(idx.encode(images[..., np.newaxis]))
    return mine


def contradicting(folder: Path, images: np.ndarray, labels: np.ndarray) -> Path:
    mine = labels_csv("file,label", "{i}.png,{label}")(folder, images, labels)
    with (mine / "labels.csv").open("a") as file:
        file.write(f"\n3.png,{(labels[3] + 1) % 10}")
    return mine


def two_of_a_name(folder: Path, images: np.ndarray, labels: np.ndarray) -> Path:
    mine = labels_csv("file,label", "C:/scans/{i}.png,{label}")(folder, images, labels)
    (mine / "more").mkdir()
    Image.fromarray(images[0]).save(mine / "more" / "3.png")
    return mine


def unlabelled(folder: Path, images: np.ndarray, labels: np.ndarray) -> Path:
    mine = labelled_pictures(folder / "mine", images, b"")
    (mine / "labels.csv").unlink()
    return mine


REFUSED: dict[str, tuple[Write, str]] = {
    "A6 unknown columns": (labels_csv("Datei;Klasse", "{i}.png;{label}"), "its first row is 'Datei', 'Klasse'"),
    "A6 no header": (labels_csv("0.png,4", "{i}.png,{label}"), "its first row is '0.png', '4'"),
    "A6 two labels": (contradicting, "labels.csv gives 3.png two labels: "),
    "A6 a name of two files": (two_of_a_name, "names C:/scans/3.png, which could be 3.png and more/3.png"),
    "A6 out of the folder": (labels_csv("file,label", "../{i}.jpg,{label}"), "names ../0.jpg, which is outside"),
    "A6 other files": (labels_csv("file,label", "scan{i}.png,{label}"), "names 200 files, none of which is there"),
    "A7 nothing says what is in each": (unlabelled, "nothing says what is in each"),
    "A8 int32 rows": (idx_of(0x0C, labels=8), "labels-idx1-ubyte holds int32 numbers (200 × 8), but in IDX files"),
    "A8 floats": (idx_of(0x0D, images=np.dtype("f4")), "images-idx3-ubyte holds float32 numbers (200 × 8 × 8), but"),
    "A8 rank 4": (rank_4, "holds bytes (200 × 8 × 8 × 1), but in IDX files images are bytes"),
    "A9 images along the last axis": (of_images(lambda images: np.moveaxis(images, 0, -1)), "along the last axis"),
    "A9 negative values": (of_images(lambda images: images / 127.5 - 1), "has float64 values from -1 to 1"),
    "A9 labels that are no numbers": (
        npz("images", "labels", lambda labels: np.where(labels == 3, np.nan, labels)),
        "labels holds nan at position",
    ),
    "A9 Python objects": (npz("images", "labels", lambda labels: labels.astype(object)), "labels holds object"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_refused(kind: str, few: tuple[np.ndarray, np.ndarray], store: Store, tmp_path: Path) -> None:
    """What has no one meaning is refused with the same words as data to train on and as a batch, with exit status 2."""
    write, words = REFUSED[kind]
    path = write(tmp_path, *few)
    for door in (
        lambda: refuse_unsound(*locate_data(str(path), store.home, LIMIT), store),
        lambda: check_batch(path, store, LIMIT, [TARGET]),
    ):
        with pytest.raises(DigitflowError) as refused:
            door()
        assert words in str(refused.value) and refused.value.exit_code == 2
        assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"a\nb\nc\n", "it names 3 classes, a to c, but has labels up to 9; name each"),
        (b"a\nb\na\n", "classes.txt names a twice"),
        (b"\0\1\2\xff", "classes.txt is no text"),
    ],
    ids=["too few", "one twice", "no text"],
)
def test_unusable_names_of_classes(
    content: bytes, words: str, few: tuple[np.ndarray, np.ndarray], store: Store, tmp_path: Path
) -> None:
    """A classes.txt that cannot name the classes is one error with exit status 2."""
    mine = idx_pair(lambda start, n: f"{start}-idx{n}-ubyte")(tmp_path, *few)
    (mine / "classes.txt").write_bytes(content)
    with pytest.raises(DigitflowError) as refused:
        refuse_unsound(*locate_data(str(mine), store.home, LIMIT), store)
    assert words in str(refused.value) and refused.value.exit_code == 2


@pytest.mark.parametrize("kind", ["names of a gigabyte", "a table of infinite values", "labels beyond all measure"])
def test_values_without_measure(kind: str, few: tuple[np.ndarray, np.ndarray], store: Store, tmp_path: Path) -> None:
    """Texts and numbers of any size are neither loaded nor wrapped into others."""
    if kind == "names of a gigabyte":
        header = b"{'descr': '<U500000', 'fortran_order': False, 'shape': (500,)}"
        names = b"\x93NUMPY\x01\0" + len(header).to_bytes(2, "little") + header
        path = npz("images", "labels")(tmp_path, *few)
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr("class_names.npy", names)
        assert find_data(path).class_names == () and "class_names" in find_data(path).remarks[0]
        return
    if kind == "a table of infinite values":
        path = table(["label", *PIXELS])(tmp_path, *few)
        path.write_text(path.read_text() + "1," + ",".join(["1e300"] * 64))
        words = "mine.csv has an infinite value in row 201"
    else:
        path = npz("images", "labels", lambda labels: np.where(labels == 3, 1e300, labels))(tmp_path, *few)
        words = "labels holds 1e+300 at position"
    with pytest.raises(DigitflowError, match=re.escape(words)):
        refuse_unsound(*locate_data(str(path), store.home, LIMIT), store)


def test_labels_beyond_the_classes(few: tuple[np.ndarray, np.ndarray], store: Store, tmp_path: Path) -> None:
    """A4: labels from 1 are no batch for classes from 0, and `data add` says so before retraining would."""
    path = npz("images", "labels", lambda labels: labels + 1)(tmp_path, *few)
    with pytest.raises(UsageError, match="has the label 10, but the labels of the data set are 0 to 9"):
        check_batch(path, store, LIMIT, [TARGET])


def harmed(name: str, arrays: Arrays) -> Arrays:
    train_x, train_y, test_x, test_y = arrays
    return {
        "A3": (train_x.transpose(0, 2, 1), train_y, test_x.transpose(0, 2, 1), test_y),
        "A4": (train_x, train_y + 1, test_x, test_y + 1),
        "A5": (np.concatenate([train_x, test_x[:6]]), np.concatenate([train_y, test_y[:6]]), test_x, test_y),
        "D1": faulty(arrays),
    }[name]


@pytest.mark.parametrize(
    ("name", "checks", "way_on"),
    [
        ("A3", {"sideways"}, " --fix OUT --transpose` writes a copy without what can be mended"),
        ("A4", {"first-label"}, " --fix OUT` writes a copy without what can be mended"),
        ("A5", {"leak"}, " --fix OUT` writes a sound copy"),
        ("D1", {"blank", "leak", "inverted", "sizes", "unseen-label", "missing-class"}, "` shows it"),
    ],
    ids=["A3 on their side", "A4 labels from 1", "A5 test images in training", "D1 six faults"],
)
def test_faults_have_a_way_on(
    name: str, checks: set[str], way_on: str, digits: Arrays, *, store: Store, tmp_path: Path
) -> None:
    """All faults are in the first message of a training, with a command that can be pasted, spaces in its path too."""
    folder = write_idx(tmp_path / "my data", harmed(name, framed(digits)))
    source, place = locate_data(str(folder), store.home, LIMIT)
    found = inspect(source, place, store).inspection
    assert checks <= {problem.check for problem in found.problems}
    if found.errors:
        with pytest.raises(DigitflowError) as refused:
            refuse_unsound(source, place, store)
        said = str(refused.value)
    else:
        said = "; ".join(refuse_unsound(source, place, store)[1])
    assert all(problem.message in said for problem in found.problems)
    assert f"`digitflow data check '{folder}'" in said and way_on in said
