"""Which images do files and folders hold? A bad file gives an error in the place of its images."""

import json
import math
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from artifacts.errors import BadSource, DigitflowError, is_transient
from artifacts.storage.home import disk_errors
from tasks.data import idx
from tasks.data.datasets import IMAGE_FILES
from tasks.data.images import Depth, GreyImage, decode
from tasks.data.reader.arrays import PlainArray, list_arrays, open_plain, unpack
from tasks.data.reader.convert import ImageArray, as_images
from tasks.data.reader.files import HEAD, Kind, gunzip_head, is_special, kind_by, kind_in, walk
from tasks.data.reader.roles import declared_shape, images_among
from tasks.data.reader.tables import read_table, table_in, unpack_pixels

DEFLATED = 1032
"""The most bytes that one byte of gzip decompresses to (zlib.net, "Technical Details")."""


class LoadedImage(NamedTuple):
    """An image of any size, or the `error` that kept it from being read. `name` is its path, or path[position]."""

    name: str
    image: GreyImage | None
    error: str = ""


def image_kind(name: str, head: Callable[[], bytes]) -> Kind | None:
    """What a file of images is; None if it holds none. `head` fetches its first HEAD bytes, if they are needed."""
    kind = kind_by(name, head)
    if kind == "table":
        table = table_in(gunzip_head(head()), Path(name))
        return kind if table and table.pixels else None
    return None if kind == "idx labels" else kind


def list_files(paths: Iterable[str], left_out: list[str] | None = None) -> Iterator[Path]:
    """The files at the paths. A folder stands for its image files, in the order of their names.

    The names of its other files, but for those that systems leave there, are added to `left_out`.
    """
    for path in map(Path, paths):
        if not os.path.isdir(path):  # noqa: PTH112  # unlike pathlib's, it never raises
            yield path
            continue
        is_empty = True
        for file in walk(path):
            if image_kind(file.name, lambda file=file: _head(file)):  # type: ignore[misc]
                is_empty = False
                yield file
            elif left_out is not None:
                left_out.append(file.name)
        if is_empty:
            yield path


def read_images(
    path: Path, name: str, scratch: Path, *, max_bytes: int, start: int = 0, stop: int | None = None
) -> Iterator[LoadedImage]:
    """The images of a file; of an array, those from `start` to before `stop`. They are named after `name`.

    The file is unpacked in the folder `scratch`, to at most `max_bytes`, unless this was done before. An error of the
    file is yielded only if `start` is 0, so that the shards of one file report it once.

    Raises DigitflowError for a transient error.
    """
    try:
        if os.path.isdir(path):  # noqa: PTH112
            raise BadSource(f"has no {IMAGE_FILES} file in it")
        if is_special(path):
            raise BadSource("is a pipe or a device; give a file")
        with path.open("rb") as file:
            head = file.read(HEAD)
        kind = kind_in(head) or kind_by(name, lambda: head)
        if kind in (None, "picture"):
            yield LoadedImage(name, decode(path))
        else:
            array = _open_array(path, name.rpartition("/")[2], kind, scratch, max_bytes=max_bytes)
            yield from _numbered(name, array, start, stop)
    except (OSError, ValueError) as error:
        if is_transient(error):
            raise DigitflowError(f"{name} cannot be read now: {error}; run again when it can") from error
        yield LoadedImage(name, None, f"cannot be read: {getattr(error, 'strerror', None) or error}")
    except BadSource as error:
        if not start:
            yield LoadedImage(name, None, str(error))


def count_images(file: Any, size: int | None, name: str = "") -> int | None:
    """The number of images that the header of an open file of arrays declares; None if only its values tell.

    `size` is that of the file in bytes, if known. Raises BadSource if it declares more than it can hold.
    """
    head = file.read(HEAD)
    file.seek(0)
    kind = kind_in(head) or kind_by(name, lambda: head)
    if kind == "table":
        return None
    shape = declared_shape(file, kind, head)
    pixels = math.prod(shape[1:])
    is_packed = kind == "npz" or gunzip_head(head) != head
    if not pixels or (size is not None and shape[0] * pixels > size * (DEFLATED if is_packed else 1)):
        raise BadSource(f"declares {' by '.join(map(str, shape))} pixels, which it cannot hold")
    return None if len(shape) == 2 else shape[0]


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(HEAD)
    except OSError:
        return b""


def _open_array(path: Path, name: str, kind: Kind, scratch: Path, *, max_bytes: int) -> ImageArray:
    """The images of a file of arrays, which is unpacked once. The error of a bad file is kept, and raised again."""
    failure, depth = scratch / "failure", scratch / "depth"

    def measure(array: PlainArray) -> Depth:
        if not depth.exists():
            _, *values = Depth.of(array.chunks())
            depth.write_text(json.dumps(values))
        return Depth(array.dtype, *json.loads(depth.read_text()))

    with disk_errors(scratch):
        if failure.exists():
            raise BadSource(failure.read_text())
        try:
            return as_images(_unpacked(path, name, kind, scratch, max_bytes=max_bytes), measure)
        except BadSource as error:
            if is_transient(error.__cause__):
                raise DigitflowError(f"{error} now; run again when it can") from error
            failure.write_text(str(error))
            raise


def _unpacked(path: Path, name: str, kind: Kind, scratch: Path, *, max_bytes: int) -> PlainArray:
    """The array in a file. An unpacked copy has the original's name, because error messages quote it."""
    if kind == "table":
        return _unpacked_table(path, scratch, max_bytes)
    folder, plain_kind = scratch / "unpacked", "npy" if kind == "npz" else kind
    plain = folder / name
    if kind == "npz":
        if not plain.exists():
            folder.mkdir(exist_ok=True)
            unpack(images_among(list_arrays(path, kind)), scratch / "part", max_bytes)
            (scratch / "part").rename(plain)
        return open_plain(plain, name, "npy", max_bytes)
    with path.open("rb") as file:
        is_gzip = file.read(2) == b"\x1f\x8b"
    if is_gzip and not plain.exists():
        folder.mkdir(exist_ok=True)
        idx.decompress(path, scratch / "part", max_bytes)
        (scratch / "part").rename(plain)
    array = open_plain(plain if is_gzip else path, name, plain_kind, max_bytes)
    if kind != "npy":
        idx.check_header(name, array.dtype, array.shape, 3)
    return array


def _unpacked_table(path: Path, scratch: Path, max_bytes: int) -> PlainArray:
    target, shape = scratch / "part", scratch / "shape"
    if not shape.exists():
        table = read_table(path)
        if not table.pixels:
            raise BadSource(f"has no pixels of square images; its first row is {table.header}")
        shape.write_text(json.dumps(unpack_pixels(table, target, max_bytes)[0].shape))
    return PlainArray(target, 0, np.dtype(np.float32), tuple(json.loads(shape.read_text())))


def _numbered(name: str, array: ImageArray, start: int, stop: int | None) -> Iterator[LoadedImage]:
    images = (image for chunk in array.chunks(start, stop) for image in chunk)
    for i, image in enumerate(images, start):
        yield LoadedImage(f"{name}[{i}]", GreyImage(image, array.changes))
