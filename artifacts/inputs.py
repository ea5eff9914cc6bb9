"""Images that a user names, one after the other, from pictures, arrays, IDX files and folders; a bad one is told."""

import gzip
import os
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


def read(path: Path, name: str, scratch: Path, max_bytes: int) -> Iterator[Seen]:
    """The images of a file, which is called `name`. `scratch` is a folder to unpack it in, up to `max_bytes`."""
    try:
        if os.path.isdir(path):  # noqa: PTH112
            raise BadSource("has no PNG, JPEG, BMP, .npy or idx3-ubyte file in it")
        with path.open("rb") as file:
            start = file.read(6)
        if start == b"\x93NUMPY":
            yield from _numbered(name, _from_npy(path, max_bytes))
        elif start.startswith((_IDX, _GZIP)):
            idx.unpack(path, scratch / "idx", max_bytes)
            yield from _numbered(name, idx.images(scratch / "idx"))
        else:
            yield Seen(name, decode(path))
    except (OSError, ValueError) as error:
        if passes(error):
            raise DigitflowError(f"{name} cannot be read now: {error}; run again when it can") from error
        yield Seen(name, None, f"cannot be read: {getattr(error, 'strerror', None) or error}")
    except BadSource as error:
        yield Seen(name, None, str(error))


def count(file: Any) -> int:
    """How many images an .npy or IDX file, open for reading bytes, says that it holds. Raises BadSource."""
    try:
        start = file.read(6)
        file.seek(0)
        if start == b"\x93NUMPY":
            shape = _header(file)
            return shape[0] if len(shape) > 2 else 1
        header = (gzip.open(file) if start.startswith(_GZIP) else file).read(8)  # noqa: SIM115
    except (OSError, EOFError, ValueError, SyntaxError, TokenError) as error:
        raise BadSource(f"cannot be read: {error}") from None
    if len(header) < 8 or not header.startswith(_IDX):
        raise BadSource("is no IDX file")
    return int.from_bytes(header[4:])


def _header(file: Any) -> tuple[int, ...]:
    major, _ = np.lib.format.read_magic(file)
    reader = np.lib.format.read_array_header_1_0 if major == 1 else np.lib.format.read_array_header_2_0
    shape: tuple[int, ...] = reader(file)[0]
    return shape


def _numbered(name: str, images: Iterable[Grey | Fitted]) -> Iterator[Seen]:
    for i, image in enumerate(images):
        yield Seen(f"{name}[{i}]", image if isinstance(image, Fitted) else Fitted(image, ()))


def _from_npy(path: Path, max_bytes: int) -> Iterator[Fitted]:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, EOFError, ValueError, SyntaxError, TokenError) as error:  # NumPy parses a header as Python
        raise BadSource(f"cannot be read: {' '.join(str(error).split())}") from None
    if array.ndim == 4 and array.shape[3] == 1:
        array = array[..., 0]
    is_coloured = array.ndim == 3 and array.shape[2] in (3, 4)
    if array.dtype not in (np.uint8, np.uint16) or array.ndim not in (2, 3) or is_coloured:
        raise BadSource(f"has {array.dtype} {array.shape}, not uint8 or uint16 (n, height, width) or (height, width)")
    for image in array if array.ndim == 3 else [array]:
        if image.size > idx.MAX_PIXELS:
            raise BadSource(f"has images of {image.shape[0]:,} by {image.shape[1]:,} pixels, which is too large")
        if array.dtype == np.uint8:
            yield Fitted(np.asarray(image), ())
        else:
            yield Fitted((image >> 8).astype(np.uint8), ("16 bits made 8",))
