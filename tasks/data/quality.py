"""Statistics of each image and class, and the problems that were found, as a report."""

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, TypeAlias

import numpy as np
import pandas as pd
import pandera.pandas as tables
import pandera.xarray as arrays
import xarray as xr
from pandera.config import ValidationDepth, config_context
from pandera.errors import SchemaError, SchemaErrors
from pydantic import BaseModel

from artifacts.storage.arrays import chunks

Schema: TypeAlias = arrays.DataArraySchema | tables.DataFrameSchema

SHOWN = 100
"""Images that a problem lists; its count is exact beyond them."""
TOLERANCE = {
    "blank": 0.01,
    "constant": 0.01,
    "duplicate": math.inf,
    "inverted": math.inf,
    "missing-class": math.inf,
    "imbalance": math.inf,
}
"""Share of a split up to which a problem is a warning, as one image always is; any other problem is an error."""
BETWEEN = {"leak", "polarity"}
"""Rules about both splits at once."""


class Problem(BaseModel, frozen=True):
    """One broken rule. `images` are the first SHOWN offenders; those of a leak are training images.

    `message` stands alone: it names the split, the array, the rule, a remedy and the first offenders.
    `count` is the number of offending images, or of classes where the rule is about classes, or else 1.
    """

    split: Literal["train", "test", "both"]
    check: str
    message: str
    count: int
    images: tuple[int, ...]


class SplitFacts(BaseModel, frozen=True):
    """A split in numbers: `classes[i]` images have label i.

    `mean_ink` is the mean pixel / 255, `coverage` the share of pixels above 0, `contrast` the mean of the images'
    standard deviations / 255. `constant` leaves out blank images; `duplicates` are second and later copies.
    """

    images: int
    height: int
    width: int
    classes: tuple[int, ...]
    mean_ink: float
    coverage: float
    contrast: float
    blank: int
    constant: int
    duplicates: int


class DataReport(BaseModel, frozen=True):
    """What makes the data unusable, what is only odd, and the facts of each split whose arrays are sound."""

    errors: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    train: SplitFacts | None
    test: SplitFacts | None


def problems(split: Literal["train", "test"], schema: Schema, data: xr.DataArray | pd.DataFrame) -> Iterator[Problem]:
    """What of `data` breaks `schema`, in the order of its rules."""
    for error in _broken(schema, data):
        name = getattr(error.check, "name", None) or str(error.check).partition("(")[0]
        text = getattr(error.check, "error", None) or str(error)
        where = _offenders(error.check_output)
        rows = "classes" if schema.name == "classes" else "images"
        yield Problem(
            split="both" if name in BETWEEN else split,
            check=name,
            message=f"{split} {schema.name}: {text}{_listed(rows, where)}",
            count=max(1, len(where)),
            images=tuple(where[:SHOWN]) if rows == "images" else (),
        )


def _listed(rows: str, where: list[int]) -> str:
    more = f" and {len(where) - 5} more" if len(where) > 5 else ""
    return f" ({rows} {', '.join(map(str, where[:5]))}{more})" if where else ""


def _broken(schema: Schema, data: xr.DataArray | pd.DataFrame) -> list[SchemaError]:
    # pandera's environment variables can switch validation off; what enters here is always checked
    with config_context(validation_enabled=True, validation_depth=ValidationDepth.SCHEMA_AND_DATA):
        try:
            schema.validate(data, lazy=True)
        except SchemaErrors as errors:
            return list(errors.schema_errors)
    return []


def _offenders(output: Any) -> list[int]:
    """Positions along the first axis where a check's output is False; none if it is not about elements."""
    passed = np.asarray(True if output is None else output)
    return np.unique(np.nonzero(~passed)[0]).tolist() if passed.ndim else []


def is_odd(problem: Problem, sizes: dict[str, int]) -> bool:
    """Whether the problem is only a warning, in splits of `sizes` images."""
    if problem.check not in TOLERANCE:
        return False
    return problem.count <= max(1, TOLERANCE[problem.check] * max(1, sizes[problem.split]))


@dataclass
class SplitStatistics:
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
