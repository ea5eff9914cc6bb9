"""A source falls into shards, and each image is in one of them, wherever the source is."""

import errno
import gzip
import io
import os
import struct
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import fsspec
import numpy as np
import pytest

from artifacts.errors import DigitflowError
from artifacts.storage.store import Store
from tasks.data import idx
from tasks.prediction import shards
from tasks.prediction.shards import Workspace, list_shards, read_shard
from tasks.prediction.sources import LoadedImage
from tests.conftest import Arrays

LIMIT = 10**6


def load_all(source: str, workspace: Workspace) -> list[LoadedImage]:
    return [item for shard in list_shards(source) for item in read_shard(shard, workspace, LIMIT)]


@pytest.fixture
def workspace(store: Store) -> Iterator[Workspace]:
    with Workspace.within(store) as workspace:
        yield workspace


@pytest.fixture
def remote(digits: Arrays, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Three arrays in memory:// of seven images, three a shard; the names of fetched files are added to the list."""
    monkeypatch.setattr(shards, "CHUNK", 3)
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
    """An array of several shards is fetched and decompressed once, and is gone after its last shard."""
    with Workspace.within(store) as workspace:
        items = load_all("memory://a", workspace)
        fetched = {path.name for path in (store.home / "tmp").rglob("*") if path.is_file()}
        assert fetched == {"fetched", "3-idx3-ubyte.gz"}  # of the last array, packed and decompressed
    names = [f"{name}[{i}]" for name in ("1.npy", "2-idx3-ubyte", "3-idx3-ubyte.gz") for i in range(7)]
    assert [item.name for item in items] == names
    for item, image in zip(items, [*digits[0][:7]] * 3, strict=True):
        assert item.image is not None
        np.testing.assert_array_equal(item.image.pixels, image)
    assert remote == ["1.npy", "2-idx3-ubyte", "3-idx3-ubyte.gz"]
    assert not list((store.home / "tmp").iterdir())


def idx_header(*shape: int) -> bytes:
    return b"\0\0\x08\x03" + struct.pack(">3I", *shape)


@pytest.mark.parametrize(
    "content",
    [
        idx_header(2**32 - 1, 28, 28),
        gzip.compress(idx_header(2**32 - 1, 28, 28), mtime=0),
        idx_header(2**32 - 1, 0, 28),
        gzip.compress(idx_header(20_000, 28, 28) + bytes(9), mtime=0),
    ],
)
def test_exaggerated_header(content: bytes, tmp_path: Path, workspace: Workspace) -> None:
    """A file that declares more images than it can hold is one error, and not one a shard."""
    (tmp_path / "huge-idx3-ubyte").write_bytes(content)
    (item,) = load_all(str(tmp_path), workspace)
    assert item.image is None and "declares" in item.error


def test_sources_are_distinguished(tmp_path: Path, workspace: Workspace) -> None:
    """Files of equal names, sizes and times in two sources are two files; their names are whole."""
    for value in (1, 200):
        with zipfile.ZipFile(tmp_path / f"{value}.zip", "w") as archive:
            pixels = np.full((2, 4, 4), value, np.uint8)
            archive.writestr(zipfile.ZipInfo("x-idx3-ubyte", (2020, 1, 1, 0, 0, 0)), idx.encode(pixels))
    for value in (1, 200):
        for item in load_all(f"zip://::{tmp_path}/{value}.zip", workspace):
            assert item.name.startswith("x-idx3-ubyte[") and item.image is not None
            assert (item.image.pixels == value).all()


def test_links(tmp_path: Path, workspace: Workspace) -> None:
    """A link is read as the file that it leads to, and one that leads nowhere is an error; a pipe is not waited for."""
    np.save((tmp_path / ".hidden").open("wb"), np.zeros((2, 5, 5), np.uint8))
    (tmp_path / "a.npy").symlink_to(tmp_path / ".hidden")
    (tmp_path / "b.png").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "c.png")
    assert [(item.name, bool(item.image)) for item in load_all(str(tmp_path), workspace)] == [
        *(("a.npy[0]", True), ("a.npy[1]", True), ("b.png", False))
    ]


@pytest.mark.usefixtures("without_heic")
def test_a_table_is_one_shard(tmp_path: Path, workspace: Workspace, caplog: pytest.LogCaptureFixture) -> None:
    """A table of pixels, whose length only its end tells, is read whole; what is left out is counted in one line."""
    header, row = ",".join(f"pixel{i}" for i in range(64)), ",".join(["7"] * 64)
    (tmp_path / "pixels.csv").write_text("\n".join([header, *[row] * 9000]))
    for name in (".DS_Store", "a.txt", "b.heic"):
        (tmp_path / name).write_text("x")
    with caplog.at_level("INFO", "tasks"):
        assert len(list(load_all(str(tmp_path), workspace))) == 9000
    assert "left out: 2 files: .heic 1, .txt 1" in caplog.text


@pytest.mark.parametrize("change", ["replaced", "shorter", "gone"])
def test_changed_while_read(change: str, tmp_path: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """An array that is replaced or cut between its shards ends the run: no table mixes two files."""
    monkeypatch.setattr(shards, "CHUNK", 3)
    np.save(path := tmp_path / "x.npy", np.zeros((7, 5, 5), np.uint8))
    first, second, _ = list_shards(str(tmp_path))
    assert len(list(read_shard(first, workspace, LIMIT))) == 3
    if change == "replaced":
        np.save(path, np.ones((7, 6, 6), np.uint8))
    elif change == "shorter":
        os.truncate(path, 200)
    else:
        path.unlink()
    with pytest.raises(DigitflowError, match="changed while it was read"):
        list(read_shard(second, workspace, LIMIT))


def test_transient_errors_are_no_rows(tmp_path: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """A transient error, such as too many open files, ends the run; an error of the file is a row."""
    (tmp_path / "a.png").write_bytes(b"")
    (shard,) = list_shards(str(tmp_path))

    def failing(number: int) -> Callable[..., None]:
        def fail(*_: object) -> None:
            raise OSError(number, os.strerror(number))

        return fail

    monkeypatch.setattr(Path, "open", failing(errno.EMFILE))
    with pytest.raises(DigitflowError, match="cannot be read now"):
        list(read_shard(shard, workspace, LIMIT))
    monkeypatch.setattr(Path, "open", failing(errno.EACCES))
    (item,) = read_shard(shard, workspace, LIMIT)
    assert "Permission denied" in item.error


def test_transient_errors_while_decompressing(
    tmp_path: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the disk fails while an array is decompressed, the run ends, and the next one reads the array."""
    (tmp_path / "x-idx3-ubyte.gz").write_bytes(gzip.compress(idx.encode(np.zeros((2, 5, 5), np.uint8)), mtime=0))
    (shard,) = list_shards(str(tmp_path))

    def fail(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(gzip, "open", fail)
        with pytest.raises(DigitflowError, match="run again"):
            list(read_shard(shard, workspace, LIMIT))
    assert all(item.image for item in read_shard(shard, workspace, LIMIT))


def test_changed_before_it_is_fetched(remote: list[str], workspace: Workspace) -> None:
    """A remote file that has another size than its listing said ends the run."""
    shard = next(list_shards("memory://a"))
    fsspec.filesystem("memory").pipe("/a/1.npy", b"other")
    with pytest.raises(DigitflowError, match="changed while it was read"):
        list(read_shard(shard, workspace, LIMIT))
