"""A source falls into portions, and each image is in one of them, wherever the source is."""

import errno
import gzip
import io
import os
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import fsspec
import numpy as np
import pytest

from artifacts.errors import DigitflowError
from artifacts.storage.store import Store
from tasks.data import idx
from tasks.prediction import shards as portions
from tasks.prediction.sources import LoadedImage
from tests.conftest import Arrays

LIMIT = 10**6


def all_seen(source: str, store: Store) -> list[LoadedImage]:
    return [seen for portion in portions.portions(source) for seen in portions.images(portion, store, LIMIT)]


@pytest.fixture
def remote(digits: Arrays, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Three arrays in memory:// of seven images, three a portion; the files that are fetched are listed."""
    monkeypatch.setattr(portions, "CHUNK", 3)
    files, fetched = fsspec.filesystem("memory"), []
    files.store.clear()
    np.save(array := io.BytesIO(), digits[0][:7])
    packed = idx.encode(digits[0][:7])
    contents = {"1.npy": array.getvalue(), "2-idx3-ubyte": packed, "3-idx3-ubyte.gz": gzip.compress(packed, mtime=0)}
    for name, content in contents.items():
        files.pipe(f"/a/{name}", content)
    get = type(files).get_file

    def counted(self: object, path: str, target: str, **options: object) -> None:
        fetched.append(Path(path).name)
        get(self, path, target, **options)

    monkeypatch.setattr(type(files), "get_file", counted)
    return fetched


def test_arrays_are_fetched_once(remote: list[str], digits: Arrays, store: Store) -> None:
    """An array of several portions is fetched and unpacked once; nothing stays of it when another one's turn comes."""
    found = all_seen("memory://a", store)
    names = [f"{name}[{i}]" for name in ("1.npy", "2-idx3-ubyte", "3-idx3-ubyte.gz") for i in range(7)]
    assert [seen.name for seen in found] == names
    for seen, image in zip(found, [*digits[0][:7]] * 3, strict=True):
        assert seen.image is not None
        np.testing.assert_array_equal(seen.image.pixels, image)
    assert remote == ["1.npy", "2-idx3-ubyte", "3-idx3-ubyte.gz"]
    assert len(list((store.home / "tmp").iterdir())) == 1


def idx_header(*shape: int) -> bytes:
    return b"\0\0\x08\x03" + struct.pack(">3I", *shape)


@pytest.mark.parametrize(
    "content",
    [
        idx_header(2**32 - 1, 28, 28),
        gzip.compress(idx_header(2**32 - 1, 28, 28)),
        idx_header(2**32 - 1, 0, 28),
        gzip.compress(idx_header(20_000, 28, 28) + bytes(9), mtime=0),
    ],
)
def test_exaggerated_header(content: bytes, tmp_path: Path, store: Store) -> None:
    """A file that declares more images than it can hold is one error, however many portions it would have."""
    (tmp_path / "huge-idx3-ubyte").write_bytes(content)
    (seen,) = all_seen(str(tmp_path), store)
    assert seen.image is None and "declares" in seen.error


def test_sources_are_told_apart(tmp_path: Path, store: Store) -> None:
    """Files of equal names, sizes and times in two sources are two files; their names are whole."""
    for value in (1, 200):
        with zipfile.ZipFile(tmp_path / f"{value}.zip", "w") as archive:
            pixels = np.full((2, 4, 4), value, np.uint8)
            archive.writestr(zipfile.ZipInfo("x-idx3-ubyte", (2020, 1, 1, 0, 0, 0)), idx.encode(pixels))
    for value in (1, 200):
        for seen in all_seen(f"zip://::{tmp_path}/{value}.zip", store):
            assert seen.name.startswith("x-idx3-ubyte[") and seen.image is not None
            assert (seen.image.pixels == value).all()


def test_links(tmp_path: Path, store: Store) -> None:
    """A link is read as what it leads to; one that leads nowhere is a row."""
    np.save(tmp_path / "there.bin", np.zeros((2, 5, 5), np.uint8))
    (tmp_path / "there.bin.npy").rename(tmp_path / "there.bin")
    (tmp_path / "a.npy").symlink_to(tmp_path / "there.bin")
    (tmp_path / "b.png").symlink_to(tmp_path / "nowhere")
    assert [(seen.name, bool(seen.image)) for seen in all_seen(str(tmp_path), store)] == [
        *(("a.npy[0]", True), ("a.npy[1]", True), ("b.png", False))
    ]


@pytest.mark.parametrize("change", ["replaced", "shorter", "gone"])
def test_changed_while_read(change: str, tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """An array that is replaced or cut between its portions ends the run: no table mixes two files."""
    monkeypatch.setattr(portions, "CHUNK", 3)
    np.save(path := tmp_path / "x.npy", np.zeros((7, 5, 5), np.uint8))
    first, second, _ = portions.portions(str(tmp_path))
    assert len(list(portions.images(first, store, LIMIT))) == 3
    if change == "replaced":
        np.save(path, np.ones((7, 6, 6), np.uint8))
    elif change == "shorter":
        os.truncate(path, 200)
    else:
        path.unlink()
    with pytest.raises(DigitflowError, match="changed while it was read"):
        list(portions.images(second, store, LIMIT))


def test_passing_errors_are_no_rows(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """What says nothing of a file, such as too many open files, ends the run; what does is a row."""
    (tmp_path / "a.png").write_bytes(b"")
    (portion,) = portions.portions(str(tmp_path))

    def failing(number: int) -> Callable[..., None]:
        def fail(*_: object) -> None:
            raise OSError(number, os.strerror(number))

        return fail

    monkeypatch.setattr(Path, "open", failing(errno.EMFILE))
    with pytest.raises(DigitflowError, match="cannot be read now"):
        list(portions.images(portion, store, LIMIT))
    monkeypatch.setattr(Path, "open", failing(errno.EACCES))
    (seen,) = portions.images(portion, store, LIMIT)
    assert "Permission denied" in seen.error


def test_passing_errors_while_unpacking(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Likewise if the disk fails within a packed array: the run ends, and nothing is remembered of it."""
    (tmp_path / "x-idx3-ubyte.gz").write_bytes(gzip.compress(idx.encode(np.zeros((2, 5, 5), np.uint8)), mtime=0))
    (portion,) = portions.portions(str(tmp_path))

    def fail(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(gzip, "open", fail)
        with pytest.raises(DigitflowError, match="run again"):
            list(portions.images(portion, store, LIMIT))
    assert all(seen.image for seen in portions.images(portion, store, LIMIT))


def test_changed_before_it_is_fetched(remote: list[str], store: Store) -> None:
    """A remote file that has another size than its listing said ends the run."""
    portion = next(portions.portions("memory://a"))
    fsspec.filesystem("memory").pipe("/a/1.npy", b"other")
    with pytest.raises(DigitflowError, match="changed while it was read"):
        list(portions.images(portion, store, LIMIT))
