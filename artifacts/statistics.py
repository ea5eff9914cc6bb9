"""What can be measured of a split: statistics of each image, and the images of each class."""

import hashlib
import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from artifacts.arrays import chunks
from artifacts.data_report import SplitFacts


@dataclass
class Measured:
    """The arrays of one split as they came, and what can be measured of them if they are sound: else nothing."""

    images: np.ndarray
    labels: np.ndarray

    @cached_property
    def table(self) -> pd.DataFrame:
        sound = self.images.dtype == np.uint8 and self.images.ndim == 3 and self.images.size > 0
        images = self.images if sound else np.empty((0, 1, 1), np.uint8)
        table = pd.concat([measure(images[:0]), *map(measure, chunks(images))], ignore_index=True)
        flat = is_flat(table)
        return table.assign(constant=flat & (table.high > 0), duplicate=table.digest.duplicated() & ~flat)

    @cached_property
    def counts(self) -> np.ndarray:
        """Images of each label in 0..255."""
        sound = self.labels.dtype == np.uint8 and self.labels.ndim == 1
        return np.bincount(self.labels if sound else [], minlength=256)

    def class_table(self, classes: int) -> pd.DataFrame:
        return pd.DataFrame({"images": self.counts[: classes if self.counts.any() else 0]})

    def facts(self, classes: int) -> SplitFacts | None:
        if self.table.empty or not self.counts.any():
            return None
        count, height, width = self.images.shape
        return SplitFacts(
            images=count,
            height=height,
            width=width,
            classes=tuple(self.counts[:classes].tolist()),
            mean_ink=self.table["mean"].mean() / 255,
            coverage=self.table.coverage.mean(),
            contrast=self.table.deviation.mean() / 255,
            blank=(self.table.high == 0).sum(),
            constant=self.table.constant.sum(),
            duplicates=self.table.duplicate.sum(),
        )


def measure(images: np.ndarray) -> pd.DataFrame:
    """Statistics of uint8 images (n, height, width).

    `light`: share of the outermost pixels above the middle of the image's range, 0.5 for one value only.
    `digest`: 64 bits, so that two of 70,000 different images look alike once in 7.5 billion data sets.
    """
    rows = np.ascontiguousarray(images).reshape(len(images), math.prod(images.shape[1:]))
    low, high = rows.min(axis=1), rows.max(axis=1)
    frame = np.concatenate([images[:, 0], images[:, -1], images[:, 1:-1, 0], images[:, 1:-1, -1]], axis=1)
    bright = 2 * frame.astype(np.uint16) > (low.astype(np.uint16) + high)[:, np.newaxis]
    digests = b"".join(hashlib.blake2b(row.data, digest_size=8).digest() for row in rows)
    return pd.DataFrame(
        {
            "mean": rows.mean(axis=1, dtype=np.float32),
            "deviation": rows.std(axis=1, dtype=np.float32),
            "coverage": (np.count_nonzero(rows, axis=1) / rows.shape[1]).astype(np.float32),
            "low": low,
            "high": high,
            "light": np.where(low == high, 0.5, bright.mean(axis=1)).astype(np.float32),
            "digest": np.frombuffer(digests, np.uint64),
        }
    )


def is_flat(table: pd.DataFrame) -> pd.Series:
    """Which images have one value only: these are alike without being copies."""
    return table.low == table.high
