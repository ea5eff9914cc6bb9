"""Images that a user names, one after the other, from pictures, arrays, IDX files and folders; a bad one is told."""

import gzip
import math
import os
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from tokenize import TokenError
from typing import Any, NamedTuple

import numpy as np

from artifacts import idx
from artifacts.errors import BadSource, DigitflowError, passes
from artifacts.scan import Fitted, Grey, decode

PICTURES = (".png", ".jpg", ".jpeg", ".bmp")
_IDX, _GZIP = b"\0\0\x08", b"\x1f\x8b"
DEFLATED = 1032
"""Bytes that one byte of gzip can stand for at most (zlib.net, "Technical Details")."""


class Seen(NamedTuple):
    """An image as found, of any size, or why there is none. `name` says where: a path, and in an array the position."""

    name: str
    image: Fitted | None
    error: str = ""


def is_known(name: str) -> bool:
    """Whether a file in a folder is taken for images, by its name."""
    name = name.lower()
    return name.endswith((*PICTURES, ".npy")) or "idx3-ubyte" in name


def is_array(name: str) -> bool:
    """Whether a file holds any number of images, by its name."""
    return is_known(name) and not name.lower().endswith(PICTURES)


def expand(paths: Iterable[str]) -> Iterator[Path]:
    """The files meant; of a folder, those with images, in the order of their names."""
    for path in map(Path, paths):
        if os.path.isdir(path):  # noqa: PTH112  # which, unlike pathlib's, never raises
            found = sorted(file for file in path.rglob("*") if file.is_file() and is_known(file.name))
            yield from found or [path]
        else:
            yield path


def read(
    path: Path, name: str, scratch: Path, max_bytes: int, start: int = 0, stop: int | None = None
) -> Iterator[Seen]:
    """The images of a file, which is called `name`; of an array, those from `start` to before `stop`.

    `scratch` is a folder to unpack it in, up to `max_bytes`; what is unpacked there is used again.
    """
    try:
        if os.path.isdir(path):  # noqa: PTH112
            raise BadSource("has no PNG, JPEG, BMP, .npy or idx3-ubyte file in it")
        with path.open("rb") as file:
            head = file.read(6)
        if head == b"\x93NUMPY":
            yield from _numbered(name, _from_npy(path, start, stop), start)
        elif head.startswith((_IDX, _GZIP)):
            yield from _numbered(name, idx.images(_unpacked(path, scratch, max_bytes), start, stop), start)
        else:
            yield Seen(name, decode(path))
    except (OSError, ValueError) as error:
        if passes(error):
            raise DigitflowError(f"{name} cannot be read now: {error}; run again when it can") from error
        yield Seen(name, None, f"cannot be read: {getattr(error, 'strerror', None) or error}")
    except BadSource as error:
        yield Seen(name, None, str(error))


def count(file: Any, size: int | None) -> int:
    """How many images an .npy or IDX file of `size` bytes (if known), open for reading, says that it holds.

    Raises BadSource if it is neither, or says more than it can hold.
    """
    try:
        start = file.read(6)
        file.seek(0)
        if start == b"\x93NUMPY":
            shape = _header(file)
        else:
            header = (gzip.open(file) if start.startswith(_GZIP) else file).read(16)  # noqa: SIM115
            if len(header) < 16 or not header.startswith(_IDX):
                raise BadSource("is no IDX file")
            shape = struct.unpack(">3I", header[4:])
    except (OSError, EOFError, ValueError, SyntaxError, TokenError) as error:
        raise BadSource(f"cannot be read: {error}") from None
    if size is not None and math.prod(shape) > size * (DEFLATED if start.startswith(_GZIP) else 1):
        raise BadSource(f"declares {'×'.join(map(str, shape))} values, which {size:,} bytes cannot hold")
    return shape[0] if len(shape) > 2 else 1


def _unpacked(path: Path, scratch: Path, max_bytes: int) -> Path:
    unpacked = scratch / "idx"
    if not unpacked.exists():
        idx.unpack(path, scratch / "part", max_bytes)
        (scratch / "part").rename(unpacked)
    return unpacked


def _header(file: Any) -> tuple[int, ...]:
    major, _ = np.lib.format.read_magic(file)
    reader = np.lib.format.read_array_header_1_0 if major == 1 else np.lib.format.read_array_header_2_0
    shape: tuple[int, ...] = reader(file)[0]
    return shape


def _numbered(name: str, images: Iterable[Grey | Fitted], start: int) -> Iterator[Seen]:
    for i, image in enumerate(images, start):
        yield Seen(f"{name}[{i}]", image if isinstance(image, Fitted) else Fitted(image, ()))


def _from_npy(path: Path, start: int, stop: int | None) -> Iterator[Fitted]:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, EOFError, ValueError, SyntaxError, TokenError) as error:  # NumPy parses a header as Python
        raise BadSource(f"cannot be read: {' '.join(str(error).split())}") from None
    if array.ndim == 4 and array.shape[3] == 1:
        array = array[..., 0]
    is_coloured = array.ndim == 3 and array.shape[2] in (3, 4)
    if array.dtype not in (np.uint8, np.uint16) or array.ndim not in (2, 3) or is_coloured:
        raise BadSource(f"has {array.dtype} {array.shape}, not uint8 or uint16 (n, height, width) or (height, width)")
    for image in (array if array.ndim == 3 else array[np.newaxis])[start:stop]:
        if image.size > idx.MAX_PIXELS:
            raise BadSource(f"has images of {image.shape[0]:,} by {image.shape[1]:,} pixels, which is too large")
        if array.dtype == np.uint8:
            yield Fitted(np.asarray(image), ())
        else:
            yield Fitted((image >> 8).astype(np.uint8), ("16 bits made 8",))
