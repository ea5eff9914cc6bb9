"""How do arrays become uint8 images (n, height, width) and labels (n,)? Only where they can mean one thing."""

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from artifacts.errors import BadSource
from artifacts.storage.arrays import RawImages
from tasks.data import idx
from tasks.data.images import Depth
from tasks.data.reader.arrays import PlainArray

MIN_ROW_SIDE = 8
"""Least side of the square images that rows of pixels are taken for."""
CHANNELS = (1, 3, 4)
"""Numbers of channels: grey, colours, and colours with opacity, which is left out."""
SAMPLE = 256
"""Rows that tell whether a table of values is one picture, or an image a row."""


class ImageArray(NamedTuple):
    """An array as images. `shape` is (n, height, width); `changes` says how its values are turned into bytes."""

    plain: PlainArray
    shape: tuple[int, int, int]
    to_grey: Callable[[np.ndarray], RawImages]
    changes: tuple[str, ...]

    def chunks(self, start: int = 0, stop: int | None = None) -> Iterator[RawImages]:
        """The images from `start` to before `stop`, some at a time."""
        for part in self.plain.chunks(start, stop):
            yield self.to_grey(part)


def as_images(
    plain: PlainArray, measure: Callable[[PlainArray], Depth] | None = None, count: int | None = None
) -> ImageArray:
    """An array as grey images. Raises BadSource if it cannot be images, or can mean several things.

    `measure` finds out which values the array uses; a caller may remember them. `count` is the number of its images, if
    that is known, as from labels.
    """
    plain, shape, change = _with_images_first(plain, count)
    _check_size(plain.shape, shape)
    depth = _depth(plain, measure or (lambda array: Depth.of(array.chunks())))
    is_channel_first = len(plain.shape) == 4 and plain.shape[2:] == shape[1:]
    channels = math.prod(plain.shape[1:]) // math.prod(shape[1:])

    def to_grey(part: np.ndarray) -> RawImages:
        values = part if depth.dtype == np.uint8 else depth.to_bytes(part)
        if channels > 1:
            return _luma(np.moveaxis(values, 1, 3) if is_channel_first else values)
        return np.ascontiguousarray(values).reshape(-1, *shape[1:])

    changes = (change, depth.change, "made grey" if channels > 1 else "")
    return ImageArray(plain, shape, to_grey, tuple(filter(None, changes)))


def _with_images_first(plain: PlainArray, count: int | None) -> tuple[PlainArray, tuple[int, int, int], str]:
    """The array with images along its first axis, the shape (n, height, width), and what was assumed, in words."""
    shape = plain.shape
    is_counted = bool(shape) and shape[0] == count
    if len(shape) > 1 and shape[-1] == count and count not in shape[:-1]:
        raise BadSource(
            f"has the shape {shape}, with its {count:,} images along the last axis; save it with them along the first: "
            "numpy.moveaxis(images, -1, 0)"
        )
    if len(shape) == 2:
        side = math.isqrt(shape[1])
        if side * side == shape[1] and side >= MIN_ROW_SIDE and (is_counted or _holds_rows(plain, side)):
            return plain, (shape[0], side, side), f"rows of {shape[1]} values read as {side}×{side}"
    if len(shape) == 2 or (len(shape) == 3 and shape[2] in CHANNELS and not is_counted):
        return plain._replace(shape=(1, *shape)), (1, shape[0], shape[1]), ""
    if len(shape) == 3:
        return plain, (shape[0], shape[1], shape[2]), ""
    if len(shape) == 4 and shape[3] in CHANNELS:
        return plain, (shape[0], shape[1], shape[2]), ""
    if len(shape) == 4 and shape[1] in CHANNELS:
        return plain, (shape[0], shape[2], shape[3]), ""
    raise BadSource(f"has {plain.dtype.name} {shape}, not (n, height, width) or (height, width), of 1 or 3 channels")


def _holds_rows(plain: PlainArray, side: int) -> bool:
    """Whether each row of a table is an image of `side` by `side`.

    Neighbours in an image are alike: below each other they are `side` values apart in a row, or in the next row.
    """
    if plain.shape[0] == 1:
        return True
    rows = next(plain.chunks(0, SAMPLE)).astype(np.float32)
    as_rows = np.abs(rows[:, side:] - rows[:, :-side]).mean()
    as_picture = np.abs(rows[1:] - rows[:-1]).mean()
    return bool(as_rows < as_picture)


def _check_size(stored: tuple[int, ...], shape: tuple[int, int, int]) -> None:
    if 0 in stored:
        raise BadSource(f"declares the shape {stored}, which no images have")
    if shape[1] * shape[2] > idx.MAX_PIXELS:
        raise BadSource(f"has images of {shape[1]:,} by {shape[2]:,} pixels, which is too large")


def _depth(plain: PlainArray, measure: Callable[[PlainArray], Depth]) -> Depth:
    if plain.dtype == np.uint8:
        return Depth(plain.dtype, 0, 255, True)
    if plain.dtype.kind not in "uifb":
        raise BadSource(f"has {plain.dtype.name} {plain.shape}, not numbers")
    depth = measure(plain)
    if depth.low < 0 or (depth.high > 255 and not depth.is_whole):
        raise BadSource(
            f"has {plain.dtype.name} values from {depth.low:,.6g} to {depth.high:,.6g}, not uint8, nor numbers of 0 to "
            "255 or of 0 to 1; scale them to these"
        )
    return depth


def _luma(colours: np.ndarray) -> RawImages:
    """The luma of colours (n, height, width, 3 or 4) in bytes, as Pillow computes it (ITU-R BT.601)."""
    weights = np.array([19595, 38470, 7471], np.uint32)
    return ((colours[..., :3].astype(np.uint32) @ weights + 0x8000) >> 16).astype(np.uint8)


def as_label_values(values: np.ndarray, name: str) -> np.ndarray:
    """Labels (n,), as int64 or as texts, from a row, a column, whole floats or one-hot rows. Raises BadSource."""
    shape = values.shape
    if values.dtype.kind in "SU":
        return np.char.strip(values.reshape(-1).astype(str))
    if len(shape) == 2 and 1 in shape:
        values = values.reshape(-1)
    elif len(shape) == 2:
        values = _from_one_hot(values, name)
    elif len(shape) != 1:
        raise BadSource(f"{name} has the shape {shape}; labels are one number for each image")
    if values.dtype.kind not in "uifb":
        raise BadSource(f"{name} holds {values.dtype.name} values; labels are whole numbers or names")
    whole = (np.abs(values) < 2**53) & (np.rint(values) == values) if values.dtype.kind != "b" else values == values
    if not whole.all():
        at = int(np.flatnonzero(~whole)[0])
        raise BadSource(f"{name} holds {values[at]} at position {at}; labels are whole numbers or names")
    return values.astype(np.int64)


def _from_one_hot(rows: np.ndarray, name: str) -> np.ndarray:
    is_one_hot = rows.dtype.kind in "uifb" and ((rows == 0) | (rows == 1)).all() and (rows.sum(axis=1) == 1).all()
    if not is_one_hot:
        raise BadSource(
            f"{name} has the shape {rows.shape}, and its rows are not one-hot: of which column is the label? Save that "
            "column alone"
        )
    numbers: np.ndarray = rows.argmax(axis=1)
    return numbers
