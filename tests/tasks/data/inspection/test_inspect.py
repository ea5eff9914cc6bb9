"""An inspection says what a data set is, and lists every problem at once, with the way on."""

from pathlib import Path

import numpy as np
import pytest

from artifacts.errors import InvalidData
from artifacts.storage.store import Store
from tasks.data.inspection.grid import draw_grid
from tasks.data.inspection.inspect import Inspected, inspect, refuse_unsound
from tasks.data.reader.place import locate_data
from tests.conftest import Arrays, write_idx
from tests.tasks.data.reader.conftest import LIMIT, class_folders


def framed(arrays: Arrays) -> Arrays:
    """The images with a dark frame of two pixels, which tells how they are inked."""
    train_x, test_x = (np.pad(images, ((0, 0), (2, 2), (2, 2))) for images in (arrays[0], arrays[2]))
    return train_x, arrays[1], test_x, arrays[3]


def inspected(path: Path, store: Store) -> Inspected:
    return inspect(*locate_data(str(path), store.home, LIMIT), store)


def faulty(arrays: Arrays) -> Arrays:
    """Six faults: blank, leaked and inverted images, a label too few, an unknown test label, a missing class."""
    train_x, train_y, test_x, test_y = (array.copy() for array in arrays)
    train_x[:90], train_x[90:95], train_x[100:200] = 0, test_x[:5], 255 - train_x[100:200]
    test_y[:3] = 17
    train_y[train_y == 5] = 4
    return train_x, train_y[:-1], test_x, test_y


def test_sound_data(digits: Arrays, store: Store, tmp_path: Path) -> None:
    """Sound data have their sizes, and each class its name and numbers; nothing else is said."""
    found = inspected(write_idx(tmp_path / "mine", digits), store).inspection
    assert (found.name, found.what, found.train_images, found.test_images) == ("mine", "IDX files", 1500, 297)
    assert [(c.label, c.name, c.train) for c in found.classes] == [
        (i, None, count) for i, count in enumerate(np.bincount(digits[1]).tolist())
    ]
    assert not found.errors and not found.notes
    named = inspected(class_folders(tmp_path / "named", *digits[:2]), store).inspection
    assert [c.name for c in named.classes] == [f"digit {i}" for i in range(10)]
    assert "held out for the test" in named.notes[-1]


def test_all_problems_at_once(digits: Arrays, store: Store, tmp_path: Path) -> None:
    """Whatever is wrong is in one report, errors and warnings; a run is refused with all of it and the way on."""
    folder = write_idx(tmp_path / "mine", faulty(framed(digits)))
    found = inspected(folder, store).inspection
    checks = [problem.check for problem in found.problems]
    assert {"sizes", "blank", "leak", "unseen-label", "inverted", "missing-class"} <= set(checks)
    assert "there are 1499 for 1500 images" in found.errors[0].message and not found.is_repairable
    with pytest.raises(InvalidData) as refused:
        refuse_unsound(*locate_data(str(folder), store.home, LIMIT), store)
    assert all(problem.message in str(refused.value) for problem in found.problems)
    assert f"`digitflow data check {folder}` shows it" in str(refused.value)


def test_pictures_are_named_by_their_files(digits: Arrays, store: Store, tmp_path: Path) -> None:
    """Problems of pictures name their files, whichever split they are put into; those of arrays give numbers."""
    images, labels = digits[0][:200].copy(), digits[1][:200]
    images[50], images[60] = 0, 255
    folder = class_folders(tmp_path / "mine", images, labels)
    (folder / "digit 0" / "0.png").write_bytes(b"not read")
    named = {
        path
        for problem in inspected(folder, store).inspection.problems
        if problem.check in ("blank", "constant")
        for path in problem.message.partition("(images ")[2].rstrip(")").split(", ")
    }
    assert named == {f"digit {labels[50]}/50.png", f"digit {labels[60]}/60.png"}
    found = inspected(write_idx(tmp_path / "arrays", (images, labels, *digits[2:])), store).inspection
    assert next(p.message for p in found.problems if p.check == "blank").endswith("(images 50)")


def test_copies_across_the_splits_have_a_way_on(digits: Arrays, store: Store, tmp_path: Path) -> None:
    """Where a sound copy can be written, the error names the command."""
    train_x, train_y, test_x, test_y = digits
    leaky = np.concatenate([train_x, test_x[:6]]), np.concatenate([train_y, test_y[:6]]), test_x, test_y
    folder = write_idx(tmp_path / "mine", leaky)
    with pytest.raises(InvalidData, match=f"`digitflow data check {folder} --fix OUT` writes a sound copy"):
        refuse_unsound(*locate_data(str(folder), store.home, LIMIT), store)


def test_labels_that_begin_at_one(digits: Arrays, store: Store, tmp_path: Path) -> None:
    """Labels from 1 are called so, and not a class that lacks images."""
    train_x, train_y, test_x, test_y = digits
    found = inspected(write_idx(tmp_path / "mine", (train_x, train_y + 1, test_x, test_y + 1)), store).inspection
    (problem,) = [problem for problem in found.problems if "label" in problem.check or "missing" in problem.check]
    assert "labels begin at 1" in problem.message and problem.is_repairable


def test_characters_that_lie_on_their_side(digits: Arrays, store: Store, tmp_path: Path) -> None:
    """Strokes that are wider than tall are suspected to lie on their side; upright ones, either way inked, are not."""
    train_x, train_y, test_x, test_y = digits
    for lie, images in (("up", digits), ("negative", (255 - train_x, train_y, 255 - test_x, test_y))):
        found = inspected(write_idx(tmp_path / lie, images), store).inspection  # type: ignore[arg-type]
        assert "sideways" not in [problem.check for problem in found.problems]
    turned = train_x.transpose(0, 2, 1), train_y, test_x.transpose(0, 2, 1), test_y
    found = inspected(write_idx(tmp_path / "down", turned), store).inspection
    assert "sideways" in [problem.check for problem in found.problems] and not found.errors


def test_nothing_could_be_read(digits: Arrays, store: Store, tmp_path: Path) -> None:
    """A data set of which nothing can be stored has its problem, and no sizes."""
    folder = write_idx(tmp_path / "mine", digits)
    np.savez(tmp_path / "odd.npz", images=digits[0], labels=np.full(1500, -1))
    assert inspected(folder, store).stored is not None
    found = inspected(tmp_path / "odd.npz", store)
    assert found.stored is None and found.inspection.train_images is None
    assert "labels from -1 to -1" in found.inspection.errors[0].message and not found.inspection.is_repairable


def test_grid(digits: Arrays, store: Store, tmp_path: Path) -> None:
    """A picture of samples has a row a class, in which the first images of the class stand as they are."""
    import io

    from PIL import Image

    stored = inspected(write_idx(tmp_path / "mine", digits), store).stored
    assert stored
    grid = np.asarray(Image.open(io.BytesIO(draw_grid(stored.splits, store))))
    enlarged = np.kron(digits[0][np.flatnonzero(digits[1] == 1)[0]], np.ones((7, 7), np.uint8))
    row = grid[60 + 4 : 60 + 4 + 56]
    assert any((row[:, i : i + 56] == enlarged).all() for i in range(row.shape[1] - 55))
