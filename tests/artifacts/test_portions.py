"""A source falls into portions, and each image is in one of them, wherever the source is."""

import errno
import gzip
import io
import os
import struct
from collections.abc import Callable
from pathlib import Path

import fsspec
import numpy as np
import pytest

from artifacts import idx, portions
from artifacts.errors import DigitflowError
from artifacts.inputs import Seen
from artifacts.store import Store
from tests.conftest import Arrays

LIMIT = 10**6


def all_seen(source: str, store: Store) -> list[Seen]:
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


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_exaggerated_header(pack: Callable[[bytes], bytes], tmp_path: Path, store: Store) -> None:
    """A file that declares more images than it can hold is one portion and one error, not half a million."""
    (tmp_path / "huge-idx3-ubyte").write_bytes(pack(b"\0\0\x08\x03" + struct.pack(">3I", 2**32 - 1, 28, 28)))
    (seen,) = all_seen(str(tmp_path), store)
    assert seen.image is None and "declares" in seen.error


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
