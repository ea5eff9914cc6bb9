"""Which images do files and folders hold? A bad file gives an error in the place of its images."""

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
from artifacts.storage.home import disk_errors
from tasks.data import idx
from tasks.data.images import FORMATS, SUFFIXES, Grey, GreyImage, decode

IMAGE_FILES = f"{', '.join(FORMATS)}, .npy or idx3-ubyte"
"""The kinds of files, for messages and help texts."""
NPY, _IDX, _GZIP = b"\x93NUMPY", b"\0\0\x08", b"\x1f\x8b"
DEFLATED = 1032
"""The most bytes that one byte of gzip decompresses to (zlib.net, "Technical Details")."""


class LoadedImage(NamedTuple):
    """An image of any size, or the `error` that kept it from being read. `name` is its path, or path[position]."""

    name: str
    image: GreyImage | None
    error: str = ""


def is_image_file(name: str) -> bool:
    """Whether a file in a folder counts as a file of images, by its name."""
    name = name.lower().rpartition("/")[2]
    return name.endswith((*SUFFIXES, ".npy")) or "idx3-ubyte" in name


def is_array_file(name: str) -> bool:
    """Whether a file holds any number of images, by its name."""
    return is_image_file(name) and not name.lower().endswith(SUFFIXES)


def list_files(paths: Iterable[str]) -> Iterator[Path]:
    """The files at the paths. A folder stands for its image files, in the order of their names."""
    for path in map(Path, paths):
        if os.path.isdir(path):  # noqa: PTH112  # unlike pathlib's, it never raises
            files = (file for file in path.rglob("*") if is_image_file(file.name))
            yield from sorted(file for file in files if file.is_file() or file.is_symlink()) or [path]
        else:
            yield path


def read_images(
    path: Path, name: str, scratch: Path, *, max_bytes: int, start: int = 0, stop: int | None = None
) -> Iterator[LoadedImage]:
    """The images of a file; of an array, those from `start` to before `stop`. They are named after `name`.

    The file is decompressed in the folder `scratch`, to at most `max_bytes`, unless this was done before. An error of
    the file is yielded only if `start` is 0, so that the shards of one file report it once.

    Raises DigitflowError for a transient error.
    """
    try:
        if os.path.isdir(path):  # noqa: PTH112
            raise BadSource(f"has no {IMAGE_FILES} file in it")
        with path.open("rb") as file:
            head = file.read(6)
        if head == NPY:
            yield from _numbered(name, _read_npy(path, start, stop, max_bytes), start)
        elif head.startswith((_IDX, _GZIP)):
            plain = _decompressed(path, name.rpartition("/")[2], scratch, max_bytes)
            yield from _numbered(name, idx.read_images(plain, start, stop), start)
        else:
            yield LoadedImage(name, decode(path))
    except (OSError, ValueError) as error:
        if is_transient(error):
            raise DigitflowError(f"{name} cannot be read now: {error}; run again when it can") from error
        yield LoadedImage(name, None, f"cannot be read: {getattr(error, 'strerror', None) or error}")
    except BadSource as error:
        if not start:
            yield LoadedImage(name, None, str(error))


def count_images(file: Any, size: int | None) -> int:
    """The number of images that the header of an open .npy or IDX file declares. Its `size` is in bytes, if known.

    Raises BadSource if it is neither, or declares more than it can hold.
    """
    magic = file.read(6)
    file.seek(0)
    is_gzip = magic.startswith(_GZIP)
    shape = _read_header(file).shape if magic == NPY else _read_idx_shape(file, is_gzip)
    pixels = math.prod(shape[1:])
    if not pixels or (size is not None and shape[0] * pixels > size * (DEFLATED if is_gzip else 1)):
        raise BadSource(f"declares {' by '.join(map(str, shape))} pixels, which it cannot hold")
    return shape[0]


def _read_idx_shape(file: Any, is_gzip: bool) -> tuple[int, ...]:
    try:
        header = (gzip.open(file) if is_gzip else file).read(16)  # noqa: SIM115
    except (OSError, EOFError, zlib.error) as error:
        raise BadSource(f"cannot be read: {error}") from None
    if len(header) < 16 or not header.startswith(_IDX):
        raise BadSource("is no IDX file")
    return struct.unpack(">3I", header[4:])


def _decompressed(path: Path, name: str, scratch: Path, max_bytes: int) -> Path:
    """Decompress an IDX file once. The result has the original's name, because error messages quote it.

    The error of a bad file is stored in `failure`, and raised again.
    """
    plain, part, failure = scratch / "unpacked" / name, scratch / "part", scratch / "failure"
    with disk_errors(scratch):
        if failure.exists():
            raise BadSource(failure.read_text())
        if not plain.exists():
            try:
                idx.decompress(path, part, max_bytes)
            except BadSource as error:
                part.unlink(missing_ok=True)
                if is_transient(error.__cause__):
                    raise DigitflowError(f"{error} now; run again when it can") from error
                failure.write_text(str(error))
                raise
            plain.parent.mkdir(exist_ok=True)
            part.rename(plain)
    return plain


class _Header(NamedTuple):
    """The header of an .npy file: `shape` of the images (n, height, width), `stored` shape of the array, its dtype."""

    shape: tuple[int, ...]
    stored: tuple[int, ...]
    dtype: np.dtype[Any]
    is_fortran: bool

    @property
    def image_bytes(self) -> int:
        return math.prod(self.shape[1:]) * self.dtype.itemsize


def _read_header(file: Any) -> _Header:
    """Read an .npy file up to its first value. Raises BadSource if the array cannot be images."""
    try:
        major, _ = np.lib.format.read_magic(file)
        reader = np.lib.format.read_array_header_1_0 if major == 1 else np.lib.format.read_array_header_2_0
        stored, is_fortran, dtype = reader(file)
    except Exception as error:  # NumPy parses the header as Python
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


def _read_npy(path: Path, start: int, stop: int | None, max_bytes: int) -> Iterator[GreyImage]:
    """The array is read, not mapped: a mapped file that becomes shorter would kill the process."""
    with path.open("rb") as file:
        header = _read_header(file)
        size, present = header.shape[0] * header.image_bytes, path.stat().st_size - file.tell()
        if size > present:
            raise BadSource(f"declares {header.stored} {header.dtype}, which it does not hold")
        if header.is_fortran and size > max_bytes:
            raise BadSource(f"has its values in Fortran's order, and more than {max_bytes:,} bytes; save it in C's")
        for array in _read_chunks(file, header, start, header.shape[0] if stop is None else min(stop, header.shape[0])):
            for image in array:
                if header.dtype.itemsize == 1:
                    yield GreyImage(image, ())
                else:
                    yield GreyImage((image >> 8).astype(np.uint8), ("16 bits made 8",))


def _read_chunks(file: Any, header: _Header, start: int, stop: int) -> Iterator[np.ndarray]:
    """The images from `start` to before `stop`, some at a time; all at once if they are in Fortran's order."""
    count, *sides = header.shape
    if header.is_fortran:
        whole = np.frombuffer(file.read(count * header.image_bytes), header.dtype)
        yield whole.reshape(header.stored, order="F").reshape(header.shape)[start:stop]
        return
    file.seek(start * header.image_bytes, os.SEEK_CUR)
    step = at_once(header.image_bytes)
    for i in range(start, stop, step):
        rows = min(step, stop - i)
        data = file.read(rows * header.image_bytes)
        yield np.frombuffer(data, header.dtype).reshape(rows, *sides)  # a ValueError if the file became shorter


def _numbered(name: str, images: Iterable[Grey | GreyImage], start: int) -> Iterator[LoadedImage]:
    for i, image in enumerate(images, start):
        yield LoadedImage(f"{name}[{i}]", image if isinstance(image, GreyImage) else GreyImage(image, ()))
