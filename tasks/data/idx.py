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
from typing import IO

import mnist
import numpy as np

from artifacts.errors import BadSource
from artifacts.storage.arrays import at_once
from artifacts.storage.store import Ref, Store

BLOCK = 1 << 20
UINT8 = 0x08
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


def _shape(file: IO[bytes], path: Path, dimensions: int) -> tuple[int, ...]:
    header = file.read(4 + 4 * dimensions)
    if header[:4] != bytes((0, 0, UINT8, dimensions)):
        raise BadSource(
            f"{path.name} starts with {header[:4].hex(' ') or 'nothing'}, "
            f"not with 00 00 08 {dimensions:02x}, the IDX header of {dimensions}-dimensional bytes"
        )
    if len(header) < 4 + 4 * dimensions:
        raise BadSource(f"{path.name} ends within its header")
    shape = struct.unpack(f">{dimensions}I", header[4:])
    if np.prod(shape[1:], dtype=object) > MAX_PIXELS:
        raise BadSource(f"{path.name} declares images of {shape[1]:,} by {shape[2]:,} pixels, which is too large")
    expected, actual = int(np.prod(shape, dtype=object)), path.stat().st_size - len(header)
    if expected != actual:
        raise BadSource(f"{path.name} declares {'×'.join(map(str, shape))} = {expected:,} bytes, but holds {actual:,}")
    return shape


def _chunks(file: IO[bytes], shape: tuple[int, ...]) -> Iterator[np.ndarray]:
    size = int(np.prod(shape[1:]))
    while data := file.read(at_once(size) * size) if size else b"":
        yield mnist.parse_idx(io.BytesIO(_header((len(data) // size, *shape[1:])) + data))


def encode(array: np.ndarray) -> bytes:
    """The bytes of an IDX file with a uint8 array."""
    return _header(array.shape) + array.tobytes()


def _header(shape: tuple[int, ...]) -> bytes:
    return bytes((0, 0, UINT8, len(shape))) + np.array(shape, ">u4").tobytes()
