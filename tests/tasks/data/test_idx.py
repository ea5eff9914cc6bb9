"""IDX files are read as the mnist package reads them, or refused with the reason."""

import gzip
import hashlib
import io
import struct
from pathlib import Path

import mnist
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from artifacts.errors import BadSource
from artifacts.storage import arrays
from artifacts.storage.store import Store
from tasks.data import idx

SHARED = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
IMAGES = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
LIMIT = 10**6


def file(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "train-images"
    path.write_bytes(data)
    return path


@SHARED
@given(hnp.arrays(np.uint8, hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=6)), st.integers(1, 7))
def test_store_array_agrees_with_mnist(tmp_path: Path, store: Store, array: np.ndarray, chunk: int) -> None:
    """What `encode` writes, `store_array` reads as the mnist package does, for any chunk and even without an image."""
    data = idx.encode(array)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arrays, "CHUNK", chunk)
        parsed = store.get(idx.store_array(file(tmp_path, data), array.ndim, store))
    oracle = mnist.parse_idx(io.BytesIO(data))
    assert parsed.dtype == oracle.dtype and np.array_equal(parsed, oracle) and np.array_equal(parsed, array)


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_packing_does_not_show(pack: type[bytes], tmp_path: Path) -> None:
    """A file unpacks to the same bytes and SHA-256, gzipped or plain."""
    data, target = idx.encode(IMAGES), tmp_path / "out"
    assert idx.decompress(file(tmp_path, pack(data)), target, len(data)) == hashlib.sha256(data).hexdigest()
    assert target.read_bytes() == data


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_bombs_stop_at_the_limit(pack: type[bytes], tmp_path: Path) -> None:
    """A file that unpacks to more than the limit is refused, and no more than the limit reaches the disk."""
    target = tmp_path / "out"
    with pytest.raises(BadSource, match="unpacks to more than 1,000,000 bytes"):
        idx.decompress(file(tmp_path, pack(bytes(5 * LIMIT))), target, LIMIT)
    assert target.stat().st_size <= LIMIT


@SHARED
@given(st.data())
def test_cut_gzip_is_refused(tmp_path: Path, data: st.DataObject) -> None:
    """A gzip file that ends early anywhere after its two magic bytes is refused as not whole."""
    packed = gzip.compress(np.random.default_rng(0).bytes(100))
    length = data.draw(st.integers(2, len(packed) - 1))
    with pytest.raises(BadSource, match="is not a whole gzip file"):
        idx.decompress(file(tmp_path, packed[:length]), tmp_path / "out", LIMIT)


@SHARED
@given(st.data())
def test_damaged_gzip_is_never_taken_for_whole(tmp_path: Path, data: st.DataObject) -> None:
    """Whatever byte of a gzip file changes, it is refused or unpacks to the same content or to another SHA-256."""
    content = np.random.default_rng(0).bytes(100)
    packed = bytearray(gzip.compress(content))
    packed[data.draw(st.integers(0, len(packed) - 1))] ^= data.draw(st.integers(1, 255))
    target = tmp_path / "out"
    try:
        digest = idx.decompress(file(tmp_path, bytes(packed)), target, LIMIT)
    except BadSource:
        return
    assert (digest == hashlib.sha256(content).hexdigest()) == (target.read_bytes() == content)


HEADER = struct.pack(">HBB3I", 0, 8, 3, 2, 3, 4)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "is no IDX file: it starts with nothing"),
        (b"<html>404", "is no IDX file: it starts with 3c 68 74 6d"),
        (struct.pack(">HBB3I", 0, 0x0D, 3, 2, 3, 4) + bytes(96), "holds float32 numbers .2 × 3 × 4., but .* are bytes"),
        (struct.pack(">HBBI", 0, 8, 1, 24) + bytes(24), "holds bytes .24., but .* images are bytes .n × height"),
        (HEADER[:10], "ends within its header"),
        (HEADER + bytes(23), "declares 2×3×4 = 24 bytes, but holds 23"),
        (HEADER + bytes(25), "declares 2×3×4 = 24 bytes, but holds 25"),
        (struct.pack(">HBB3I", 0, 8, 3, *[2**32 - 1] * 3), "declares images of 4,294,967,295 by 4,294,967,295 pixels"),
    ],
)
def test_wrong_files_are_refused(data: bytes, reason: str, tmp_path: Path, store: Store) -> None:
    """A file of another format, type, dimension or length is refused with what it holds, and stores nothing."""
    with pytest.raises(BadSource, match=reason):
        idx.store_array(file(tmp_path, data), 3, store)
    assert not (store.home / "objects").exists()


def test_find_takes_either_form(tmp_path: Path) -> None:
    """A file is found gzipped or plain; where neither is, the error names both."""
    with pytest.raises(BadSource, match=r"has neither labels nor labels\.gz"):
        idx.find_file(tmp_path, "labels")
    for name in ("labels", "labels.gz"):
        (tmp_path / name).touch()
        assert idx.find_file(tmp_path, "labels") == tmp_path / name
