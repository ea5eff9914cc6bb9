"""A sound copy has every repair that its problems ask for, and appears whole or not at all."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from artifacts.errors import UsageError
from artifacts.storage.store import Store
from tasks.data import idx
from tasks.data.inspection.repair import repair
from tests.conftest import Arrays, write_idx
from tests.pictures import seven
from tests.tasks.data.inspection.test_inspect import faulty, framed, inspected
from tests.tasks.data.reader.conftest import arrays_of, class_folders

Change = Callable[[Arrays], Arrays]


def fixed(folder: Path, store: Store, **options: bool) -> tuple[Arrays, tuple[str, ...]]:
    """The arrays of a sound copy, and what was done."""
    repaired = repair(inspected(folder, store), folder.parent / "out", store, **options)
    assert not inspected(repaired.folder, store).inspection.errors
    return arrays_of(repaired.folder, store), repaired.done


def with_copies(arrays: Arrays) -> Arrays:
    train_x, train_y, test_x, test_y = arrays
    return np.concatenate([train_x, test_x[:6]]), np.concatenate([train_y, test_y[:6]]), test_x, test_y


def from_one(arrays: Arrays) -> Arrays:
    return arrays[0], arrays[1] + 1, arrays[2], arrays[3] + 1


def turned(arrays: Arrays) -> Arrays:
    return arrays[0].transpose(0, 2, 1), arrays[1], arrays[2].transpose(0, 2, 1), arrays[3]


def negative_test(arrays: Arrays) -> Arrays:
    return arrays[0], arrays[1], 255 - arrays[2], arrays[3]


def some_negatives(arrays: Arrays) -> Arrays:
    train_x = arrays[0].copy()
    train_x[::50] = 255 - train_x[::50]
    return train_x, *arrays[1:]


def larger_test(arrays: Arrays) -> Arrays:
    return arrays[0], arrays[1], np.kron(arrays[2], np.ones((1, 2, 2), np.uint8)), arrays[3]


def blank(arrays: Arrays) -> Arrays:
    return np.zeros_like(arrays[0]), *arrays[1:]


def blank_test(arrays: Arrays) -> Arrays:
    return arrays[0], arrays[1], np.zeros_like(arrays[2]), arrays[3]


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (with_copies, "6 training images left out, which are test images too"),
        (from_one, "labels 1 to 10 made 0 to 9"),
        (turned, "all images transposed"),
        (negative_test, "297 test images inverted"),
        (some_negatives, "30 train images inverted"),
        (larger_test, "test images scaled from 24×24 to 12×12"),
    ],
)
def test_each_repair_undoes_its_harm(harm: Change, words: str, digits: Arrays, store: Store, tmp_path: Path) -> None:
    """The copy of harmed data is the data before the harm, and says what was done."""
    read, done = fixed(write_idx(tmp_path / "mine", harm(framed(digits))), store)
    for array, wanted in zip(read, framed(digits), strict=True):
        np.testing.assert_array_equal(array, wanted)
    assert len(done) == 1 and done[0].startswith(words)


def test_old_labels_become_names(digits: Arrays, store: Store, tmp_path: Path) -> None:
    """Where labels are counted from 0, a classes.txt says what they were."""
    fixed(write_idx(tmp_path / "mine", from_one(digits)), store)
    found = inspected(tmp_path / "out", store).inspection
    assert [c.name for c in found.classes] == [str(i) for i in range(1, 11)]


def test_unusable_images_are_left_out(digits: Arrays, store: Store, tmp_path: Path) -> None:
    """Flat images, and test images of a class that is never trained, are left out of both splits."""
    train_x, train_y, test_x, test_y = (array.copy() for array in digits)
    train_x[:90], test_x[:9], test_y[20:23] = 0, 77, 17
    (images, _, tests, _), done = fixed(write_idx(tmp_path / "mine", (train_x, train_y, test_x, test_y)), store)
    np.testing.assert_array_equal(images, train_x[90:])
    np.testing.assert_array_equal(tests, np.delete(test_x, [*range(9), 20, 21, 22], axis=0))
    assert [line.split()[0] for line in done] == ["90", "9", "3"]


def test_pictures_of_several_sizes(digits: Arrays, store: Store, tmp_path: Path) -> None:
    """Pictures of several sizes are copied in one, without those that cannot be read."""
    folder = class_folders(tmp_path / "mine", *(array[:100] for array in digits[:2]))
    Image.fromarray(seven(80)).save(folder / "digit 7" / "large.png")
    (folder / "digit 7" / "bad.png").write_bytes(b"bad")
    (images, *_), done = fixed(folder, store)
    assert images.shape[1:] == (8, 8)
    assert done == ("pictures of several sizes scaled to one", "files that cannot be read left out")


@pytest.mark.parametrize(("transpose", "is_turned"), [(True, True), (False, False), (None, True)])
def test_a_person_decides_how_images_lie(
    transpose: bool | None, is_turned: bool, digits: Arrays, store: Store, tmp_path: Path
) -> None:
    """Images are turned if a person says so, or if they seem to lie on their side and nobody says otherwise."""
    folder = write_idx(tmp_path / "mine", turned(digits))
    (images, *_), _ = fixed(folder, store, transpose=transpose)  # type: ignore[arg-type]
    np.testing.assert_array_equal(images, digits[0] if is_turned else turned(digits)[0])


@pytest.mark.parametrize("is_dropping", [False, True])
def test_copies_within_a_split(is_dropping: bool, digits: Arrays, store: Store, tmp_path: Path) -> None:
    """Copies within a split stay and are counted; or the first of each stays, and none of those with two labels."""
    train_x, train_y, test_x, test_y = digits
    images = np.concatenate([train_x, train_x[:9], train_x[9:12], np.zeros((3, 8, 8), np.uint8)])
    labels = np.concatenate([train_y, train_y[:9], (train_y[9:12] + 1) % 10, [1, 2, 3]]).astype(np.uint8)
    tests, truths = np.concatenate([test_x, test_x[:2]]), np.concatenate([test_y, test_y[:2]])
    folder = write_idx(tmp_path / "mine", (images, labels, tests, truths))
    found = inspected(folder, store).inspection
    assert {(p.check, p.count) for p in found.problems} >= {("duplicate", 12), ("duplicate", 2), ("contradiction", 6)}
    assert found.mending("mine") == "digitflow data check mine --fix OUT --drop-copies"
    read, done = fixed(folder, store, drop_copies=is_dropping)
    wanted = (np.delete(train_x, range(9, 12), axis=0), test_x) if is_dropping else (images[:-3], tests)
    np.testing.assert_array_equal(read[0], wanted[0])
    np.testing.assert_array_equal(read[2], wanted[1])
    said = {
        True: [
            "6 train images left out, whose copies",
            "9 copies left out of the train",
            "2 copies left out of the te",
        ],
        False: [
            "12 copies within the train images stay, 6 images with different labels",
            "2 copies within the test im",
        ],
    }[is_dropping]
    assert [line[: len(words)] for line, words in zip(done[1:], said, strict=True)] == said


def test_no_test_image_gets_another_label(digits: Arrays, store: Store, tmp_path: Path) -> None:
    """If a class loses its last training image, as all have copies with another label, its test images are left out,
    and every other image keeps its class."""
    train_x, train_y, test_x, test_y = from_one(digits)
    fives = train_x[train_y == 5]
    doubted = np.concatenate([train_x, fives]), np.concatenate([train_y, np.full(len(fives), 6, np.uint8)])
    read, _ = fixed(write_idx(tmp_path / "mine", (*doubted, test_x, test_y)), store, drop_copies=True)
    names = np.array([c.name for c in inspected(tmp_path / "out", store).inspection.classes]).astype(int)
    np.testing.assert_array_equal(names[read[3]], test_y[test_y != 5])
    np.testing.assert_array_equal(read[2], test_x[test_y != 5])
    assert 5 not in names


def test_blank_images_do_not_decide_which_are_inverted(digits: Arrays, store: Store, tmp_path: Path) -> None:
    """Inverted images are found among many blank ones."""
    train_x, train_y, test_x, test_y = framed(digits)
    blank, few = np.zeros((900, *train_x.shape[1:]), np.uint8), train_x[:300].copy()
    few[200:] = 255 - few[200:]
    folder = write_idx(
        tmp_path / "mine",
        (np.concatenate([few, blank]), np.concatenate([train_y[:300], train_y[300:1200]]), test_x, test_y),
    )
    (images, *_), _ = fixed(folder, store)
    np.testing.assert_array_equal(images, train_x[:300])


def test_what_needs_a_person_is_not_repaired(digits: Arrays, store: Store, tmp_path: Path) -> None:
    """Without an answer to which label is missing, nothing is written, and the reason is the only one that is named."""
    folder = write_idx(tmp_path / "mine", faulty(digits))
    with pytest.raises(UsageError, match="needs a person: train labels: there are 1499 for 1500 images"):
        repair(inspected(folder, store), tmp_path / "out", store)
    assert [path.name for path in tmp_path.iterdir() if path.name != "home"] == ["mine"]


@pytest.mark.parametrize(("harm", "words"), [(blank, "no train images"), (blank_test, "no test images")])
def test_a_copy_has_images(harm: Change, words: str, digits: Arrays, store: Store, tmp_path: Path) -> None:
    """If every image of a split would be left out, nothing is written, and the reason is named."""
    folder = write_idx(tmp_path / "mine", harm(digits))
    with pytest.raises(UsageError, match=words):
        repair(inspected(folder, store), tmp_path / "out", store)
    assert not (tmp_path / "out").exists()


def test_nothing_is_overwritten(digits: Arrays, store: Store, tmp_path: Path) -> None:
    """A folder that exists is left as it is."""
    folder = write_idx(tmp_path / "mine", digits)
    with pytest.raises(UsageError, match="exists, and nothing is overwritten"):
        repair(inspected(folder, store), folder, store)


def test_a_copy_appears_whole(digits: Arrays, store: Store, tmp_path: Path, *, monkeypatch: pytest.MonkeyPatch) -> None:
    """If writing fails halfway, neither the copy nor a part of it is left."""
    folder, calls = write_idx(tmp_path / "mine", digits), []

    def failing(shape: tuple[int, ...]) -> bytes:
        calls.append(shape)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return bytes(16)

    found = inspected(folder, store)
    monkeypatch.setattr(idx, "header", failing)
    with pytest.raises(KeyboardInterrupt):
        repair(found, tmp_path / "out", store)
    shutil.rmtree(folder)
    assert [path.name for path in tmp_path.iterdir()] == ["home"]
