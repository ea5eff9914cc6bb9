"""The shapes that travel through the pipeline; jaxtyping checks them at run time under pytest."""

import mmap
from collections.abc import Iterator

import numpy as np
from jaxtyping import Float32, UInt8

RawImages = UInt8[np.ndarray, "n height width"]
Labels = UInt8[np.ndarray, "n"]
Images = Float32[np.ndarray, "n height width 1"]
Targets = Float32[np.ndarray, "n classes"]
Probabilities = Float32[np.ndarray, "n classes"]

CHUNK = 8192
"""Images handled at once where memory must not grow with the data: 6.4 MB raw, 26 MB as float32."""


def chunks(array: np.ndarray) -> Iterator[np.ndarray]:
    """Slices of CHUNK items along the first axis; those of a memory map leave memory once the next is asked for."""
    for i in range(0, len(array), CHUNK):
        yield array[i : i + CHUNK]
        release(array)


def release(array: np.ndarray) -> None:
    """Let what was read of a memory map leave this process's memory; it is read again when it is used again."""
    mapping = array
    while isinstance(mapping, np.ndarray):
        mapping = mapping.base  # type: ignore[assignment]
    if isinstance(mapping, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        mapping.madvise(mmap.MADV_DONTNEED)
