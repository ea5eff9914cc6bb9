"""What people really bring is read alike by every door, or refused by every door with the same sentence."""

import csv
import errno
import gzip
import os
import re
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from artifacts.errors import DigitflowError, UsageError
from artifacts.storage.store import Store
from tasks.data import idx
from tasks.data.inspection.inspect import inspect, refuse_unsound
from tasks.data.inspection.repair import repair
from tasks.data.reader.files import count_left_out
from tasks.data.reader.labels import read_names
from tasks.data.reader.layouts import find_data
from tasks.data.reader.place import locate_data
from tasks.prediction.sources import list_files, read_images
from tasks.retraining.incoming.batch_formats import Target, check_batch, read_batch
from tasks.retraining.incoming.inbox import add_batch
from tests.conftest import Arrays, write_idx
from tests.pictures import seven
from tests.tasks.data.inspection.test_inspect import faulty, framed
from tests.tasks.data.reader.conftest import LIMIT, arrays_of, class_folders, idx_files, labelled_pictures, stored

Write = Callable[[Path, np.ndarray, np.ndarray], Path]
TARGET = Target((8, 8), classes=10)


@pytest.fixture
def few(digits: Arrays) -> tuple[np.ndarray, np.ndarray]:
    """200 digits; none is a copy of another."""
    return digits[0][:200], digits[1][:200]


def idx_pair(name: Callable[[str, int], str], *, packed: bool = False) -> Write:
    def write(folder: Path, images: np.ndarray, labels: np.ndarray) -> Path:
        idx_files(folder / "mine", (images, labels, images[:0], labels[:0]), name, packed)
        for path in (folder / "mine").iterdir():
            if "t10k" in path.name.lower() or "test" in path.name.lower():
                path.unlink()
        return folder / "mine"

    return write


def npz(images: str, labels: str, change: Callable[[np.ndarray], np.ndarray] = np.asarray, **others: int) -> Write:
    def write(folder: Path, own: np.ndarray, targets: np.ndarray) -> Path:
        np.savez(
            folder / "mine.npz", **{images: own, labels: change(targets)}, **{k: np.array(v) for k, v in others.items()}
        )  # type: ignore[arg-type]
        return folder / "mine.npz"

    return write


def of_images(change: Callable[[np.ndarray], np.ndarray]) -> Write:
    return lambda folder, images, labels: npz("images", "labels")(folder, change(images), labels)


def table(header: list[str] | None, *, last: bool = False, delimiter: str = ",", before: str = "") -> Write:
    """A label and the pixels of an image in each row; `last`: the label comes last."""

    def write(folder: Path, images: np.ndarray, labels: np.ndarray) -> Path:
        with (folder / "mine.csv").open("w", newline="") as file:
            file.write(before)
            rows = csv.writer(file, delimiter=delimiter)
            rows.writerows([header] if header else [])
            for image, label in zip(images, labels.tolist(), strict=True):
                rows.writerow([*image.ravel(), label] if last else [label, *image.ravel()])
        return folder / "mine.csv"

    return write


PIXELS = [f"pixel{i}" for i in range(64)]


def labels_csv(header: str, row: str, *, encoding: str = "utf-8", name: str = "labels.csv", below: str = "") -> Write:
    def write(folder: Path, images: np.ndarray, labels: np.ndarray) -> Path:
        lines = [header, *(row.format(i=i, label=label) for i, label in enumerate(labels.tolist()))]
        labelled_pictures(folder / "mine" / below, images, b"")
        (folder / "mine" / below / "labels.csv").unlink()
        (folder / "mine" / name).write_text("\n".join(lines), encoding)
        return folder / "mine"

    return write


def beside_what_systems_leave(folder: Path, images: np.ndarray, labels: np.ndarray) -> Path:
    mine = idx_pair(lambda start, n: f"{start}-idx{n}-ubyte")(folder, images, labels)
    for name in [path.name for path in mine.iterdir()]:
        (mine / f"._{name}").write_bytes(bytes.fromhex("00051607"))
    for name in (".DS_Store", "Thumbs.db", "desktop.ini", "Icon\r", "__MACOSX/._x", "System Volume Information/x"):
        (mine / name).parent.mkdir(exist_ok=True)
        (mine / name).write_bytes(b"\0\0\0\1Bud1")
    return mine


def beside_an_older_archive(folder: Path, images: np.ndarray, labels: np.ndarray) -> Path:
    mine = idx_pair(lambda start, n: f"{start}-idx{n}-ubyte")(folder, images, labels)
    packed = mine / "train-labels-idx1-ubyte.gz"
    packed.write_bytes(gzip.compress(idx.encode((labels + 1) % 10)))
    os.utime(packed, (0, 0))
    return mine


READ: dict[str, Write] = {
    "A1 IDX with dots": idx_pair(lambda start, n: f"{start}.idx{n}-ubyte"),
    "A1 EMNIST's names": idx_pair(lambda start, n: f"emnist-digits-{start}-idx{n}-ubyte", packed=True),
    "A2 IDX in capitals": idx_pair(lambda start, n: f"{start}-idx{n}-ubyte".upper()),
    "A6 byte-order mark": labels_csv("file,label", "{i}.png,{label}", encoding="utf-8-sig"),
    "A6 semicolons": labels_csv("file;label", "{i}.png;{label}"),
    "A6 Excel's sep=": labels_csv("sep=;\nfile;label", "{i}.png;{label}"),
    "A6 decimals": labels_csv("file,label", "{i}.png,{label}.0"),
    "A6 decimal commas": labels_csv("file;label", "{i}.png;{label},0"),
    "A6 capitals": labels_csv("File,LABEL", "{i}.PNG,{label}"),
    "A6 spaces and quotes": labels_csv('"file", "label"', '"{i}.png", "{label}"'),
    "A6 blank lines": labels_csv("\nfile,label", "{i}.png,{label}\n"),
    "A6 numbers for names": labels_csv("id,label", "{i},{label}", name="trainLabels.csv"),
    "A6 paths of another machine": labels_csv("file,label", "C:\\Users\\me\\{i}.png,{label}", below="scans"),
    "A6 absolute paths": labels_csv("file,label", "/home/me/scans/{i}.png,{label}"),
    "A7 system files beside IDX": beside_what_systems_leave,
    "A9 numbered arrays": npz("arr_0", "arr_1"),
    "A9 x_train": npz("x_train", "y_train"),
    "A9 Xtrain": npz("Xtrain", "ytrain"),
    "A9 trainX": npz("trainX", "trainY"),
    "A9 float labels": npz("images", "labels", lambda labels: labels.astype(np.float32)),
    "A9 labels as a column": npz("images", "labels", lambda labels: labels[:, np.newaxis]),
    "A9 one-hot": npz("images", "labels", lambda labels: np.eye(10, dtype=np.uint8)[labels]),
    "A9 labels as texts": npz("images", "labels", lambda labels: labels.astype(str)),
    "A9 another array beside": npz("images", "labels", version=3),
    "A9 channel axis": of_images(lambda images: images[..., np.newaxis]),
    "A9 channels first": of_images(lambda images: images[:, np.newaxis]),
    "A9 int64": of_images(lambda images: images.astype(np.int64)),
    "A9 shares": of_images(lambda images: images / 255),
    "S2 rows of pixels": of_images(lambda images: images.reshape(len(images), -1)),
    "S7 an older archive beside": beside_an_older_archive,
    "K1 a folder a class": lambda folder, images, labels: class_folders(folder / "mine", images, labels, prefix=""),
    "K2 Kaggle's CSV": table(["label", *PIXELS]),
    "K2 label last": table([*PIXELS, "class"], last=True),
    "K2 no header": table(None),
    "K2 no header, label last": table(None, last=True),
    "K2 counted columns": table([str(i) for i in range(65)]),
    "K2 header as Kaggle's A to Z": table(["0", *(f"0.{i}" for i in range(1, 65))]),
    "K2 semicolons after sep=": table(["label", *PIXELS], delimiter=";", before="sep=;\n"),
    "K2 spaces": table(None, delimiter=" "),
}


def pairs(images: np.ndarray, labels: np.ndarray) -> Counter[tuple[bytes, int]]:
    return Counter((np.asarray(image).tobytes(), int(label)) for image, label in zip(images, labels, strict=True))


@pytest.mark.parametrize("kind", READ)
def test_what_is_read(kind: str, few: tuple[np.ndarray, np.ndarray], store: Store, tmp_path: Path) -> None:
    """Each image has its label as data to train on and as a batch; it is the same image where it is predicted."""
    path = READ[kind](tmp_path, *few)
    train_x, train_y, test_x, test_y = arrays_of(path, store)
    assert pairs([*train_x, *test_x], [*train_y, *test_y]) == pairs(*few)  # type: ignore[arg-type]
    check_batch(path, store, LIMIT, [TARGET])
    assert pairs(*read_batch(path, store, LIMIT)) == pairs(*few)
    refuse_unsound(*locate_data(str(path), store.home, LIMIT), store)
    with store.scratch() as folder:
        seen = []
        for number, file in enumerate(list_files([str(path)])):
            (folder / str(number)).mkdir()
            seen += list(read_images(file, file.name, folder / str(number), max_bytes=LIMIT))
    assert not [each.error for each in seen if each.error]
    assert Counter(each.image.pixels.tobytes() for each in seen if each.image) == Counter(i.tobytes() for i in few[0])


def test_heic_from_a_phone(store: Store, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """F6: with the extra, a HEIC is read as any picture: in a class folder, in a batch, and where it is predicted.
    Without it, one line at each door says how to get it.
    """
    from pillow_heif import register_heif_opener

    register_heif_opener()
    drawn, mine = seven(40), tmp_path / "mine"
    for name in ("0", "1"):
        (mine / name).mkdir(parents=True)
        for i in range(4):
            Image.fromarray(drawn).convert("RGB").save(mine / name / f"{i}.heic", "HEIF", quality=-1)
    for images, labels in (read_batch(mine, store, LIMIT), arrays_of(mine, store)[:2]):
        assert images.shape[1:] == (40, 40) and set(labels.tolist()) == {0, 1}
        for image in images:
            np.testing.assert_allclose(image.astype(int), drawn, atol=3)
    (first, *_) = read_images(mine / "1" / "0.heic", "0.heic", tmp_path, max_bytes=LIMIT)
    assert first.image is not None and not first.error
    np.testing.assert_allclose(first.image.pixels.astype(int), drawn, atol=3)

    request.getfixturevalue("without_heic")
    Image.fromarray(drawn).save(mine / "0" / "a.png")
    hint = "left out: 8 files: .heic 8; install digitflow[heic] to read HEIC"
    assert find_data(mine).remarks == [hint]
    left_out = list[str]()
    assert [path.name for path in list_files([str(mine)], left_out)] == ["a.png"]
    assert count_left_out(left_out) == hint
    (refused,) = read_images(mine / "1" / "0.heic", "0.heic", tmp_path, max_bytes=LIMIT)
    assert "but HEIC; install digitflow[heic] to read it" in refused.error


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


@pytest.mark.parametrize("names", [("Train", "test", "val"), ("training", "Testing", "valid"), ("train", "validation")])
def test_a_column_tells_the_split(
    names: tuple[str, ...], few: tuple[np.ndarray, np.ndarray], store: Store, tmp_path: Path
) -> None:
    """A6: where a table tells the split of each picture, no test image is trained on; what is unused is said."""
    images, labels = few[0][:60], few[1][:60]
    splits = [names[i % len(names)] for i in range(60)]
    lines = ["file,label,split", *(f"{i}.png,{labels[i]},{splits[i]}" for i in range(60))]
    mine = labelled_pictures(tmp_path / "mine", images, "\n".join(lines).encode())
    kept = stored(mine, store)
    train_x, train_y, test_x, test_y = arrays_of(mine, store)
    for position, own in ((0, (train_x, train_y)), (1, (test_x, test_y))):
        chosen = [i for i in range(60) if splits[i] == names[position]]
        assert pairs(*own) == pairs(images[chosen], labels[chosen])
    assert kept.notes == (("left out: 20 pictures of the validation split",) if len(names) == 3 else ())


def test_a_column_that_is_not_read_is_said(few: tuple[np.ndarray, np.ndarray], store: Store, tmp_path: Path) -> None:
    """K2: a table of pixels whose rows name their split is one split, and a note says so."""
    path = table(["label", *PIXELS])(tmp_path, *few)
    head, *rows = path.read_text().splitlines()
    path.write_text("\n".join([f"{head},Usage", *(f"{row},Training" for row in rows)]))
    assert "mine.csv: the column Usage is not read: all rows are one split" in stored(path, store).notes


def broken_class(folder: Path) -> None:
    """What may lie in a class folder besides its pictures."""
    os.mkfifo(folder / "pipe")
    os.mkfifo(folder / "pipe.png")
    (folder / "loop").symlink_to(folder.parent)
    (folder / "above").symlink_to(folder.parent.parent)
    (folder / "self").symlink_to("self")
    (folder / "inner.png").mkdir()


def test_odd_files_beside_pictures(few: tuple[np.ndarray, np.ndarray], store: Store, tmp_path: Path) -> None:
    """Pipes, links that lead back or nowhere, and folders that are called as pictures keep no door from the others, and
    what `data add` puts into the inbox is a batch; after an error nothing is left there.
    """
    mine = class_folders(tmp_path / "mine", *few, prefix="")
    broken_class(mine / "1")
    os.mkfifo(mine / "labels.csv")
    (mine / "empty class").mkdir()
    train_x, train_y, test_x, test_y = arrays_of(mine, store)
    assert pairs([*train_x, *test_x], [*train_y, *test_y]) == pairs(*few)  # type: ignore[arg-type]
    check_batch(mine, store, LIMIT, [TARGET])
    assert pairs(*read_batch(add_batch(mine, store.home), store, LIMIT)) == pairs(*few)
    assert len(list(list_files([str(mine)]))) == len(few[0])
    (waiting,) = read_images(mine / "1" / "pipe", "pipe", tmp_path, max_bytes=LIMIT)
    assert "is a pipe or a device" in waiting.error
    with pytest.raises(UsageError, match="is a pipe or a device"):
        find_data(mine / "labels.csv")


def test_an_interrupted_copy_leaves_nothing(
    few: tuple[np.ndarray, np.ndarray], store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch that could not be copied whole leaves nothing in the inbox, hidden or not."""
    mine, copied = class_folders(tmp_path / "mine", *few), list[str]()

    def failing(source: Path, target: Path) -> None:
        copied.append(str(source))
        Path(target).write_bytes(b"part")
        if len(copied) == 3:
            raise OSError(errno.ENOSPC, "No space left on device", str(target))

    monkeypatch.setattr("shutil.copy2", failing)
    with pytest.raises(DigitflowError, match="free some space"):
        add_batch(mine, store.home)
    assert not list((store.home / "inbox").iterdir())


def test_names_of_any_bytes(few: tuple[np.ndarray, np.ndarray], store: Store, tmp_path: Path) -> None:
    """Class folders and pictures whose names have line breaks or bytes that are no UTF-8 are read; the names of classes
    become ones that can be printed and written a line, so that a sound copy has as many.
    """
    mine = class_folders(tmp_path / "mine", *few)
    (mine / "digit 1").rename(mine / "caf\udce9")
    (mine / "digit 2").rename(mine / "two\nlines")
    (mine / "digit 3" / "3.png").rename(mine / "digit 3" / "\udcff\n.png")
    source, place = locate_data(str(mine), store.home, LIMIT)
    repaired = repair(inspect(source, place, store), tmp_path / "fixed", store)
    names = {"caf�", "two lines", *(f"digit {i}" for i in (0, *range(3, 10)))}
    assert set((repaired.folder / "classes.txt").read_text("utf-8").splitlines()) == names
    assert set(read_names(repaired.folder)) == names
    mine.rename(tmp_path / "\udcff")
    assert locate_data(str(tmp_path / "\udcff"), store.home, LIMIT)[0].name == "�"


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


def test_names_of_more_classes(few: tuple[np.ndarray, np.ndarray], store: Store, tmp_path: Path) -> None:
    """A classes.txt in another encoding is read, and one with more names than classes is said."""
    mine = idx_pair(lambda start, n: f"{start}-idx{n}-ubyte")(tmp_path, *few)
    (mine / "classes.txt").write_text("\n".join([*"abcdefghi", "größe", "k", "l"]), "cp1252")
    kept = stored(mine, store)
    assert kept.splits.class_names[9] == "größe"
    assert "12 classes are named, and the last 2 of them have no images" in kept.notes


def test_a_lone_image_is_trained_on(few: tuple[np.ndarray, np.ndarray], store: Store, tmp_path: Path) -> None:
    """Each class has images to train on, whatever they hold: a single image, or copies of one, is never held out."""
    images, labels = few[0][:60], np.arange(60).astype(np.uint8)
    _, train_y, _, test_y = arrays_of(npz("images", "labels")(tmp_path, images, labels), store)
    assert sorted(train_y.tolist()) == list(range(60)) and not len(test_y)
    copies = np.repeat(images[:20], 3, axis=0)
    _, train_y, _, test_y = arrays_of(npz("images", "labels")(tmp_path, copies, labels // 3), store)
    assert len(train_y) == 60 and not len(test_y)


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
