"""A data set is known by its content, wherever it lies and however its files are called."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from artifacts.errors import DigitflowError
from artifacts.storage.store import Store
from tasks.data.reader.place import locate_data, name_of
from tests.conftest import Arrays, serve, write_idx
from tests.tasks.data.reader.conftest import LIMIT, arrays_of, class_folders, dotted_name, idx_files, pixel_table


def digest(path: Path | str, store: Store) -> str:
    return locate_data(str(path), store.home, LIMIT)[0].digests[0]


def test_content_alone_decides(digits: Arrays, store: Store, tmp_path: Path) -> None:
    """Names of IDX files, gzip, place and time do not change the digest; a pixel and a label do."""
    packed, dotted = write_idx(tmp_path / "a", digits), idx_files(tmp_path / "b", digits, dotted_name)
    assert digest(packed, store) == digest(dotted, store)
    path = dotted / "train-labels.idx1-ubyte"
    path.write_bytes(path.read_bytes()[:-1] + b"\1")
    assert digest(packed, store) != digest(dotted, store)


def test_labels_of_pictures_are_content(digits: Arrays, store: Store, tmp_path: Path) -> None:
    """Pictures are told apart by their content and by the class that they are in."""
    folder = class_folders(tmp_path / "a", *(array[:20] for array in digits[:2]))
    before = digest(folder, store)
    os.utime(folder / "digit 0" / "0.png", (0, 0))
    assert digest(folder, store) == before
    shutil.move(folder / "digit 0" / "0.png", folder / "digit 1" / "0.png")
    moved = digest(folder, store)
    assert moved != before
    (folder / "digit 0").rename(folder / "digit zero")
    assert digest(folder, store) not in (before, moved)


@pytest.mark.parametrize("scheme", ["http", "file", "memory"])
def test_remote_folders(scheme: str, digits: Arrays, store: Store, tmp_path: Path) -> None:
    """A folder at a URL is copied once, without what systems leave there, and read as one here."""
    folder = write_idx(tmp_path / "mine", digits)
    (folder / "._train-images-idx3-ubyte.gz").write_bytes(b"\0")
    urls = {"file": folder.as_uri(), "memory": "memory://mine"}
    if scheme == "memory":
        import fsspec

        fsspec.filesystem("memory").put(str(folder), "/mine", recursive=True)
    served = serve(tmp_path) if scheme == "http" else iter([""])
    for base in served:
        url = f"{base}mine/" if scheme == "http" else urls[scheme]
        source, place = locate_data(url, store.home, LIMIT)
        assert source == locate_data(str(folder), store.home, LIMIT)[0] and source.name == "mine"
        assert locate_data(url, store.home, LIMIT) == (source, place)
        assert not list(Path(place.path).glob(".*"))
        for read, array in zip(arrays_of(Path(place.path), store), digits, strict=True):
            assert (read == array).all()
    assert len(list((store.home / "tmp").glob("fetched-*"))) == 1


def test_replaced_over_http(digits: Arrays, store: Store, tmp_path: Path) -> None:
    """A file that was replaced at its URL is fetched again, although a list of files over HTTP tells no sizes."""
    arrays = {"x_train": digits[0], "y_train": digits[1], "x_test": digits[2], "y_test": digits[3]}
    (tmp_path / "served").mkdir()
    np.savez(tmp_path / "served" / "mine.npz", **arrays)
    for base in serve(tmp_path / "served"):
        before = digest(f"{base}mine.npz", store)
        np.savez(tmp_path / "served" / "mine.npz", **arrays | {"x_train": digits[0][:900], "y_train": digits[1][:900]})
        assert digest(f"{base}mine.npz", store) != before


def test_unreachable_folders(store: Store, digits: Arrays, tmp_path: Path) -> None:
    """A URL that cannot be read, and one that holds too much, are refused with the reason."""
    with pytest.raises(DigitflowError, match="cannot be read"):
        locate_data("memory://nowhere", store.home, LIMIT)
    with pytest.raises(DigitflowError, match="more than 100 bytes"):
        locate_data(write_idx(tmp_path / "mine", digits).as_uri(), store.home, 100)


def test_names(digits: Arrays, tmp_path: Path) -> None:
    """A data set is called as its folder; a file that is only called train, as the folder around it."""
    train = pixel_table(tmp_path / "cards" / "train.csv", digits[0][:2], digits[1][:2])
    assert name_of(train) == name_of(train.parent) == "cards"
    assert name_of(train.rename(train.with_name("pips.csv"))) == "pips"
    (tmp_path / "mnist").mkdir()
    assert name_of(tmp_path / "mnist") == "mnist (folder)"
