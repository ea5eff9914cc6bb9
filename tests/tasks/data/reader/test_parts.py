"""Pictures are read in bounded memory; several sizes and unreadable files are told, and the rest is still there."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from artifacts.errors import BadSource
from artifacts.storage.store import Store
from tasks.data.images import GreyImage
from tasks.data.reader.layouts import find_data
from tasks.data.reader.parts import Fitting, Loaded, Reading, scale
from tests.conftest import Arrays
from tests.pictures import seven
from tests.tasks.data.reader.conftest import LIMIT, class_folders, stored


def load(folder: Path, store: Store, fitting: Fitting | None = None) -> tuple[Loaded, np.ndarray, list[str]]:
    with store.scratch() as scratch:
        reading = Reading(scratch, LIMIT)
        part = find_data(folder).train
        assert part
        loaded = part.load(reading, fitting)
        return loaded, np.concatenate(list(loaded.images.chunks())), [flaw.message for flaw in reading.flaws]


def test_several_sizes(digits: Arrays, store: Store, tmp_path: Path) -> None:
    """Pictures of several sizes are one flaw that counts them, and are scaled to the usual size."""
    folder = class_folders(tmp_path / "mine", *(array[:30] for array in digits[:2]))
    Image.fromarray(seven(80)).save(folder / "digit 7" / "large.png")
    loaded, images, flaws = load(folder, store)
    assert images.shape == (31, 8, 8) and len(loaded.labels) == 31
    assert flaws == [
        "the pictures have 2 sizes: 8×8 (30), 80×80 (1, such as digit 7/large.png); a network takes one: scale them, "
        "for instance to 8×8"
    ]


def test_photographs_are_too_large(store: Store, tmp_path: Path) -> None:
    """Pictures of one size that no network here learns from are a flaw too, and scaled."""
    folder = class_folders(tmp_path / "mine", np.stack([seven(600)] * 2), np.array([7, 7]))
    _, images, flaws = load(folder, store)
    assert images.shape == (2, 64, 64) and "600×600 (2) pixels, more than the 256" in flaws[0]


def test_unreadable_pictures(digits: Arrays, store: Store, tmp_path: Path) -> None:
    """Damaged pictures are one flaw that names some of them; the others are read."""
    folder = class_folders(tmp_path / "mine", *(array[:30] for array in digits[:2]))
    for i in range(5):
        (folder / "digit 1" / f"bad{i}.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    loaded, _, flaws = load(folder, store)
    assert len(loaded.labels) == 30 and "5 files cannot be read: digit 1/bad0.png is no PNG" in flaws[0]
    assert "and 2 more; remove them" in flaws[0]
    for path in folder.glob("*/[0-9]*.png"):
        path.unlink()
    with pytest.raises(BadSource, match="5 files cannot be read"):
        load(folder, store)


def test_fitting(digits: Arrays, store: Store, tmp_path: Path) -> None:
    """Pictures are fitted to a data set that is there; what does not fit is a flaw and left out."""
    folder = class_folders(tmp_path / "mine", *(array[:3] for array in digits[:2]))

    def fit(picture: GreyImage) -> GreyImage:
        if picture.pixels.tobytes() == digits[0][0].tobytes():
            raise BadSource("does not fit")
        return GreyImage(scale(picture.pixels, (4, 4)), ())

    loaded, images, flaws = load(folder, store, Fitting((4, 4), fit))
    assert images.shape == (2, 4, 4) and loaded.is_fitted and "1 file cannot be read" in flaws[0]


def test_scaling_keeps_proportions_and_ground() -> None:
    """A wide picture is laid on the grey of its own frame."""
    wide = np.full((10, 20), 200, np.uint8)
    wide[2:8, 2:18] = 50
    scaled = scale(wide, (20, 20))
    assert scaled.shape == (20, 20) and set(scaled[:5].ravel()) == {200} and (scaled[9:11, 4:16] == 50).all()


def test_changes_are_counted(store: Store, tmp_path: Path) -> None:
    """What was made of pictures is noted once a change, with their number."""
    folder = tmp_path / "mine" / "seven"
    folder.mkdir(parents=True)
    for i in range(3):
        Image.fromarray(seven(40 + 0 * i)).convert("RGB").save(folder / f"{i}.png")
    (folder.parent / "one").mkdir()
    Image.fromarray(seven(40).T.copy()).save(folder.parent / "one" / "1.png")
    assert "3 pictures: made grey" in stored(tmp_path / "mine", store).notes
