"""The array types of the pipeline, which jaxtyping checks under pytest, and reading large arrays in parts."""

import mmap
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from artifacts.errors import ArtifactLost

if TYPE_CHECKING or "jaxtyping" in sys.modules:
    from jaxtyping import Bool as Bool
    from jaxtyping import Float32 as Float32
    from jaxtyping import Int as Int
    from jaxtyping import UInt8 as UInt8
else:  # nobody checks shapes, and jaxtyping takes a tenth of the start

    class UInt8:
        """An array, whatever its shape."""

        def __class_getitem__(cls, _: object) -> type[np.ndarray]:
            return np.ndarray

    Bool = Float32 = Int = UInt8

RawImages = UInt8[np.ndarray, "n height width"]
Labels = UInt8[np.ndarray, "n"]
Images = Float32[np.ndarray, "n height width 1"]
Targets = Float32[np.ndarray, "n classes"]
Probabilities = Float32[np.ndarray, "n classes"]
Measurements = Float32[np.ndarray, "n statistics"]

CHUNK = 8192
"""Images processed at once, so that memory does not grow with the data: 6.4 MB raw, 26 MB as float32 (28 by 28)."""


def at_once(size: int) -> int:
    """The number of items of `size` bytes to read at once: CHUNK, or fewer if they take more than 64 MiB."""
    return max(1, min(CHUNK, (64 << 20) // max(size, 1)))


def chunks(array: np.ndarray) -> Iterator[np.ndarray]:
    """Slices of CHUNK items along the first axis. A slice of a memory map leaves memory when the next one is taken."""
    for i in range(0, len(array), CHUNK):
        yield array[i : i + CHUNK]
        release(array)


class Rows:
    """The items of an array along its first axis, by their numbers. The items of a memory map are read from its file.

    They then do not count as memory of this process, and each costs one system call and no page fault.
    """

    def __init__(self, array: np.ndarray):
        self._array, self._file = array, None
        if isinstance(array, np.memmap) and isinstance(array.base, mmap.mmap) and array.flags.c_contiguous:
            self._file = open(array.filename, "rb", buffering=0)  # noqa: SIM115, PTH123  # while this object lives

    def __getitem__(self, numbers: np.ndarray) -> np.ndarray:
        if self._file is None or not len(numbers):
            return self._array[numbers]  # type: ignore[no-any-return]
        items = np.empty((len(numbers), *self._array.shape[1:]), self._array.dtype)
        into, size = memoryview(items).cast("B"), items[:1].nbytes
        for i, number in enumerate(numbers.tolist()):
            start = self._array.offset + number * size
            if os.preadv(self._file.fileno(), [into[i * size : (i + 1) * size]], start) != size:
                raise ArtifactLost(f"{self._file.name} became shorter while it was read; run again")
        return items


def release(array: np.ndarray) -> None:
    """Drop the pages of a memory map from this process's memory. The next use reads them again."""
    mapping = array
    while isinstance(mapping, np.ndarray):
        mapping = mapping.base  # type: ignore[assignment]
    if isinstance(mapping, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        mapping.madvise(mmap.MADV_DONTNEED)
