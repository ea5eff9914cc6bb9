"""What people really bring is read alike by every door."""

import gzip
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from artifacts.errors import UsageError
from artifacts.storage.store import Store
from tasks.data import idx
from tasks.data.inspection.inspect import inspect, refuse_unsound
from tasks.data.inspection.repair import repair
from tasks.data.reader.files import count_left_out
from tasks.data.reader.labels import read_names
from tasks.data.reader.layouts import find_data
from tasks.data.reader.place import locate_data
from tasks.prediction.sources import list_files, read_images
from tasks.retraining.incoming.batch_formats import check_batch, read_batch
from tasks.retraining.incoming.inbox import add_batch
from tests.pictures import seven
from tests.tasks.data.peoples_data import PIXELS, TARGET, Write, idx_pair, labels_csv, npz, of_images, pairs, table
from tests.tasks.data.reader.conftest import LIMIT, arrays_of, class_folders, labelled_pictures, stored


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
