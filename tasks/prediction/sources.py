"""Images that a user names, one after the other, from pictures, arrays, IDX files and folders; a bad one is told."""

import gzip
import math
import os
import struct
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from artifacts.errors import BadSource, DigitflowError, is_transient
from artifacts.storage.arrays import at_once
from artifacts.storage.store import disk_errors
from tasks.data import idx
from tasks.data.images import Grey, GreyImage, decode

PICTURES = (".png", ".jpg", ".jpeg", ".bmp")
NPY, _IDX, _GZIP = b"\x93NUMPY", b"\0\0\x08", b"\x1f\x8b"
DEFLATED = 1032
"""Bytes that one byte of gzip can stand for at most (zlib.net, "Technical Details")."""


class LoadedImage(NamedTuple):
    """An image as found, of any size, or why there is none. `name` says where: a path, and in an array the position."""

    name: str
    image: GreyImage | None
    error: str = ""


def is_known(name: str) -> bool:
    """Whether a file in a folder is taken for images, by its name."""
    name = name.lower().rpartition("/")[2]
    return name.endswith((*PICTURES, ".npy")) or "idx3-ubyte" in name


def is_array(name: str) -> bool:
    """Whether a file holds any number of images, by its name."""
    return is_known(name) and not name.lower().endswith(PICTURES)


def expand(paths: Iterable[str]) -> Iterator[Path]:
    """The files meant; of a folder, those with images, in the order of their names."""
    for path in map(Path, paths):
        if os.path.isdir(path):  # noqa: PTH112  # which, unlike pathlib's, never raises
            known = (file for file in path.rglob("*") if is_known(file.name))
            yield from sorted(file for file in known if file.is_file() or file.is_symlink()) or [path]
        else:
            yield path


def read(
    path: Path, name: str, scratch: Path, max_bytes: int, start: int = 0, stop: int | None = None
) -> Iterator[LoadedImage]:
    """The images of a file, which is called `name`; of an array, those from `start` to before `stop`.

    `scratch` is a folder to unpack it in, up to `max_bytes`; what is unpacked there is used again. What is wrong with a
    file is told where it starts. Raises DigitflowError for an error that will pass.
    """
    try:
        if os.path.isdir(path):  # noqa: PTH112
            raise BadSource("has no PNG, JPEG, BMP, .npy or idx3-ubyte file in it")
        with path.open("rb") as file:
            head = file.read(6)
        if head == NPY:
            yield from _numbered(name, _from_npy(path, start, stop, max_bytes), start)
        elif head.startswith((_IDX, _GZIP)):
            unpacked = _unpacked(path, name.rpartition("/")[2], scratch, max_bytes)
            yield from _numbered(name, idx.images(unpacked, start, stop), start)
        else:
            yield LoadedImage(name, decode(path))
    except (OSError, ValueError) as error:
        if is_transient(error):
            raise DigitflowError(f"{name} cannot be read now: {error}; run again when it can") from error
        yield LoadedImage(name, None, f"cannot be read: {getattr(error, 'strerror', None) or error}")
    except BadSource as error:
        if not start:
            yield LoadedImage(name, None, str(error))


def count(file: Any, size: int | None) -> int:
    """How many images an .npy or IDX file of `size` bytes (if known), open for reading, says that it holds.

    Raises BadSource if it is neither, or says more than it can hold.
    """
    start = file.read(6)
    file.seek(0)
    if start == NPY:
        shape = _header(file).shape
    else:
        try:
            header = (gzip.open(file) if start.startswith(_GZIP) else file).read(16)  # noqa: SIM115
        except (OSError, EOFError, zlib.error) as error:
            raise BadSource(f"cannot be read: {error}") from None
        if len(header) < 16 or not header.startswith(_IDX):
            raise BadSource("is no IDX file")
        shape = struct.unpack(">3I", header[4:])
    pixels = math.prod(shape[1:])
    if not pixels or (size is not None and shape[0] * pixels > size * (DEFLATED if start.startswith(_GZIP) else 1)):
        raise BadSource(f"declares {' by '.join(map(str, shape))} pixels, which it cannot hold")
    return shape[0]


def _unpacked(path: Path, name: str, scratch: Path, max_bytes: int) -> Path:
    """An IDX file, unpacked once under its name, which messages have. What is wrong with it is found once too."""
    unpacked, part, failure = scratch / "unpacked" / name, scratch / "part", scratch / "failure"
    with disk_errors(scratch):
        if failure.exists():
            raise BadSource(failure.read_text())
        if not unpacked.exists():
            try:
                idx.unpack(path, part, max_bytes)
            except BadSource as error:
                part.unlink(missing_ok=True)
                if is_transient(error.__cause__):
                    raise DigitflowError(f"{error} now; run again when it can") from error
                failure.write_text(str(error))
                raise
            unpacked.parent.mkdir(exist_ok=True)
            part.rename(unpacked)
    return unpacked


class _Header(NamedTuple):
    """What an .npy file says of itself: `shape` is (n, height, width) of the array `stored`, `dtype` is uint8 or 16."""

    shape: tuple[int, ...]
    stored: tuple[int, ...]
    dtype: np.dtype[Any]
    is_fortran: bool

    @property
    def image_bytes(self) -> int:
        return math.prod(self.shape[1:]) * self.dtype.itemsize


def _header(file: Any) -> _Header:
    """Read it, up to the first value. Raises BadSource if the array cannot be images."""
    try:
        major, _ = np.lib.format.read_magic(file)
        reader = np.lib.format.read_array_header_1_0 if major == 1 else np.lib.format.read_array_header_2_0
        stored, is_fortran, dtype = reader(file)
    except Exception as error:  # NumPy parses it as Python
        if is_transient(error):
            raise
        raise BadSource(f"cannot be read: {' '.join(str(error).split())}") from None
    shape = stored[:-1] if len(stored) == 4 and stored[3] == 1 else stored
    is_coloured = len(shape) == 3 and shape[2] in (3, 4)
    if (dtype.kind, dtype.itemsize) not in (("u", 1), ("u", 2)) or len(shape) not in (2, 3) or is_coloured:
        raise BadSource(f"has {dtype} {stored}, not uint8 or uint16 (n, height, width) or (height, width)")
    shape = shape if len(shape) == 3 else (1, *shape)
    if not all(type(side) is int and side > 0 for side in shape):
        raise BadSource(f"declares the shape {stored}, which no images have")
    if shape[1] * shape[2] > idx.MAX_PIXELS:
        raise BadSource(f"has images of {shape[1]:,} by {shape[2]:,} pixels, which is too large")
    return _Header(shape, stored, dtype, is_fortran)


def _from_npy(path: Path, start: int, stop: int | None, max_bytes: int) -> Iterator[GreyImage]:
    """Read, not mapped: a file that becomes shorter meanwhile would kill the process."""
    with path.open("rb") as file:
        header = _header(file)
        size, there = header.shape[0] * header.image_bytes, path.stat().st_size - file.tell()
        if size > there:
            raise BadSource(f"declares {header.stored} {header.dtype}, which it does not hold")
        if header.is_fortran and size > max_bytes:
            raise BadSource(f"has its values in Fortran's order, and more than {max_bytes:,} bytes; save it in C's")
        for array in _arrays(file, header, start, header.shape[0] if stop is None else min(stop, header.shape[0])):
            for image in array:
                if header.dtype.itemsize == 1:
                    yield GreyImage(image, ())
                else:
                    yield GreyImage((image >> 8).astype(np.uint8), ("16 bits made 8",))


def _arrays(file: Any, header: _Header, start: int, stop: int) -> Iterator[np.ndarray]:
    """The images from `start` to before `stop`, some at a time; all at once where the file has another order."""
    count, *sides = header.shape
    if header.is_fortran:
        whole = np.frombuffer(file.read(count * header.image_bytes), header.dtype)
        yield whole.reshape(header.stored, order="F").reshape(header.shape)[start:stop]
        return
    file.seek(start * header.image_bytes, os.SEEK_CUR)
    few = at_once(header.image_bytes)
    for i in range(start, stop, few):
        rows = min(few, stop - i)
        data = file.read(rows * header.image_bytes)
        yield np.frombuffer(data, header.dtype).reshape(rows, *sides)  # a ValueError if the file became shorter


def _numbered(name: str, images: Iterable[Grey | GreyImage], start: int) -> Iterator[LoadedImage]:
    for i, image in enumerate(images, start):
        yield LoadedImage(f"{name}[{i}]", image if isinstance(image, GreyImage) else GreyImage(image, ()))
