"""IDX files, the format of MNIST: find them, decompress them up to a limit, and read their arrays in chunks."""

import gzip
import hashlib
import io
import os
import struct
import zlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import IO, Any

import mnist
import numpy as np

from artifacts.errors import BadSource
from artifacts.storage.arrays import at_once
from artifacts.storage.store import Ref, Store

BLOCK = 1 << 20
UINT8 = 0x08
TYPES = {UINT8: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
"""NumPy's types by their IDX codes (http://yann.lecun.com/exdb/mnist/)."""
MAX_PIXELS = 1 << 24


def find_file(folder: Path, name: str) -> Path:
    """The file `name` in a folder, gzipped or not. Raises BadSource if neither is there."""
    for candidate in (folder / f"{name}.gz", folder / name):
        if candidate.is_file():
            return candidate
    raise BadSource(f"{folder} has neither {name} nor {name}.gz")


def decompress(packed: Path, unpacked: Path, max_bytes: int) -> str:
    """Copy a file, decompressed if it is gzip, and return the SHA-256 of the copy.

    Raises BadSource if the file is cut or damaged, or if the copy would exceed `max_bytes`.
    """
    digest, size = hashlib.sha256(), 0
    with unpacked.open("wb") as target:
        for block in _blocks(packed):
            size += len(block)
            if size > max_bytes:
                raise BadSource(f"{packed.name} unpacks to more than {max_bytes:,} bytes")
            digest.update(block)
            target.write(block)
    return digest.hexdigest()


def _blocks(packed: Path) -> Iterator[bytes]:
    try:
        with packed.open("rb") as file:
            is_gzip = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            stream: IO[bytes] = gzip.open(file) if is_gzip else file  # type: ignore[assignment]  # noqa: SIM115
            while block := stream.read(BLOCK):
                yield block
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise BadSource(f"{packed.name} is not a whole gzip file ({error})") from None
    except OSError as error:
        raise BadSource(f"{packed} cannot be read ({error.strerror})") from error


def store_array(path: Path, dimensions: int, store: Store) -> Ref:
    """Store the uint8 array of a decompressed IDX file. Raises BadSource if its header or length is wrong."""
    with path.open("rb") as file:
        shape = _shape(file, path, dimensions)
        return store.put_chunks(shape, np.dtype(np.uint8), _chunks(file, shape))


def read_images(path: Path, start: int = 0, stop: int | None = None) -> Iterator[np.ndarray]:
    """The uint8 images of a decompressed IDX file from `start` to before `stop`, one by one.

    Raises BadSource if its header or length is wrong.
    """
    with path.open("rb") as file:
        shape = _shape(file, path, 3)
        if 0 in shape:
            raise BadSource(f"{path.name} declares {shape[0]:,} images of {shape[1]} by {shape[2]} pixels")
        file.seek(start * shape[1] * shape[2], os.SEEK_CUR)
        images = (image for chunk in _chunks(file, shape) for image in chunk)
        yield from islice(images, None if stop is None else stop - start)


def read_header(file: Any, name: str) -> tuple[np.dtype[Any], tuple[int, ...]]:
    """The type and shape that an IDX file declares; `file` is then at its first value. Raises BadSource."""
    magic = file.read(4)
    if len(magic) < 4 or magic[:2] != bytes(2) or magic[2] not in TYPES or magic[3] not in range(1, 5):
        raise BadSource(f"{name} is no IDX file: it starts with {magic.hex(' ') or 'nothing'}")
    sides = file.read(4 * magic[3])
    if len(sides) < 4 * magic[3]:
        raise BadSource(f"{name} ends within its header")
    return np.dtype(TYPES[magic[2]]), struct.unpack(f">{magic[3]}I", sides)


def check_header(name: str, dtype: np.dtype[Any], shape: tuple[int, ...], dimensions: int) -> None:
    """Raise BadSource, in words, unless the file holds bytes in so many dimensions: 3 for images, 1 for labels."""
    if dtype == np.uint8 and len(shape) == dimensions:
        return
    wanted = "images are bytes (n × height × width)" if dimensions == 3 else "labels are a byte each (n)"
    held = "bytes" if dtype == np.uint8 else f"{dtype.name} numbers"
    raise BadSource(
        f"{name} holds {held} ({' × '.join(f'{side:,}' for side in shape)}), but in IDX files {wanted}; save it as "
        "such, or save the data as .npz, where other types are understood"
    )


def _shape(file: IO[bytes], path: Path, dimensions: int) -> tuple[int, ...]:
    dtype, shape = read_header(file, path.name)
    check_header(path.name, dtype, shape, dimensions)
    if np.prod(shape[1:], dtype=object) > MAX_PIXELS:
        raise BadSource(f"{path.name} declares images of {shape[1]:,} by {shape[2]:,} pixels, which is too large")
    expected, actual = int(np.prod(shape, dtype=object)), path.stat().st_size - file.tell()
    if expected != actual:
        raise BadSource(f"{path.name} declares {'×'.join(map(str, shape))} = {expected:,} bytes, but holds {actual:,}")
    return shape


def _chunks(file: IO[bytes], shape: tuple[int, ...]) -> Iterator[np.ndarray]:
    size = int(np.prod(shape[1:]))
    while data := file.read(at_once(size) * size) if size else b"":
        yield mnist.parse_idx(io.BytesIO(header((len(data) // size, *shape[1:])) + data))


def encode(array: np.ndarray) -> bytes:
    """The bytes of an IDX file with a uint8 array."""
    return header(array.shape) + array.tobytes()


def header(shape: tuple[int, ...]) -> bytes:
    """The header of an IDX file with a uint8 array of this shape."""
    return bytes((0, 0, UINT8, len(shape))) + np.array(shape, ">u4").tobytes()
