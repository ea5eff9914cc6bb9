"""The report on a data set: statistics of its images and classes, and the rules of the contracts that they break."""

import hashlib
import math
import re
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
from tasks.data.datasets import name_of

Schema: TypeAlias = arrays.DataArraySchema | tables.DataFrameSchema

STROKES = 0.3
"""Share of its pixels that the ink of a character covers at most."""
LISTED = 100
"""Number of images that a problem lists; it counts all of them."""
TOLERANCE = {
    "blank": 0.01,
    "constant": 0.01,
    "duplicate": math.inf,
    "contradiction": math.inf,
    "inverted": math.inf,
    "sideways": math.inf,
    "first-label": math.inf,
    "missing-class": math.inf,
    "imbalance": math.inf,
}
"""Share of a split up to which a problem is a warning; a single image always is. Any other problem is an error."""
RULES_ON_BOTH_SPLITS = {"leak", "polarity"}


class Problem(BaseModel, frozen=True):
    """One broken rule. `images` are the first LISTED images that break it; those of a leak are training images.

    `message` is complete: it names the split, the array, the rule, a remedy and the first images or classes.
    `count` is the number of images that break the rule, or of classes if the rule is about classes, or else 1.
    """

    split: Literal["train", "test", "both"]
    check: str
    message: str
    count: int
    images: tuple[int, ...]


class SplitSummary(BaseModel, frozen=True):
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
    """The errors, which make the data unusable, the warnings, and a summary of each split whose arrays are sound."""

    errors: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    train: SplitSummary | None
    test: SplitSummary | None


@dataclass
class SplitStatistics:
    """The images and labels of one split, and their statistics. Those of an unsound array are empty."""

    images: np.ndarray
    labels: np.ndarray

    @cached_property
    def image_table(self) -> pd.DataFrame:
        """One row for each image: `image_statistics`, and whether it is constant, a copy of an earlier image, or one of
        several copies with different labels.
        """
        is_sound = self.images.dtype == np.uint8 and self.images.ndim == 3 and self.images.size > 0
        images = self.images if is_sound else np.empty((0, 1, 1), np.uint8)
        table = pd.concat([image_statistics(images[:0]), *map(image_statistics, chunks(images))], ignore_index=True)
        flat = is_flat(table)
        labels = pd.Series(self.labels if self.labels.shape == (len(table),) else np.zeros(len(table), np.uint8))
        several = labels.groupby(table.digest).transform("nunique") > 1
        return table.assign(
            constant=flat & (table.high > 0), duplicate=table.digest.duplicated() & ~flat, contradiction=several & ~flat
        )

    @cached_property
    def label_counts(self) -> np.ndarray:
        """Number of images of each label in 0..255."""
        is_sound = self.labels.dtype == np.uint8 and self.labels.ndim == 1
        return np.bincount(self.labels if is_sound else [], minlength=256)

    def class_table(self, classes: int) -> pd.DataFrame:
        """One row for each class: its number of images."""
        return pd.DataFrame({"images": self.label_counts[: classes if self.label_counts.any() else 0]})

    def summary(self, classes: int) -> SplitSummary | None:
        """The split in numbers, or None if an array is unsound."""
        table = self.image_table
        if table.empty or not self.label_counts.any():
            return None
        count, height, width = self.images.shape
        return SplitSummary(
            images=count,
            height=height,
            width=width,
            classes=tuple(self.label_counts[:classes].tolist()),
            mean_ink=table["mean"].mean() / 255,
            coverage=table.coverage.mean(),
            contrast=table.deviation.mean() / 255,
            blank=(table.high == 0).sum(),
            constant=table.constant.sum(),
            duplicates=table.duplicate.sum(),
        )


def image_statistics(images: np.ndarray) -> pd.DataFrame:
    """Statistics of uint8 images (n, height, width), one row for each.

    `light`: share of the outermost pixels above the middle of the image's range; 0.5 for an image of a single value.
    `wideness`: natural logarithm of width / height of what is drawn; 0 if that is no strokes but covers much.
    `digest`: 64 bits; two of 70,000 different images have the same digest in one of 7.5 billion data sets.
    """
    rows = np.ascontiguousarray(images).reshape(len(images), math.prod(images.shape[1:]))
    low, high = rows.min(axis=1), rows.max(axis=1)
    frame = np.concatenate([images[:, 0], images[:, -1], images[:, 1:-1, 0], images[:, 1:-1, -1]], axis=1)
    middle = (low.astype(np.uint16) + high) // 2
    bright = frame > middle[:, np.newaxis]
    light = np.where(low == high, 0.5, bright.mean(axis=1)).astype(np.float32)
    digests = b"".join(hashlib.blake2b(row.data, digest_size=8).digest() for row in rows)
    return pd.DataFrame(
        {
            "mean": rows.mean(axis=1, dtype=np.float32),
            "deviation": rows.std(axis=1, dtype=np.float32),
            "coverage": (np.count_nonzero(rows, axis=1) / rows.shape[1]).astype(np.float32),
            "low": low,
            "high": high,
            "light": light,
            "wideness": _wideness(images, middle, light),
            "digest": np.frombuffer(digests, np.uint64),
        }
    )


def _wideness(images: np.ndarray, middle: np.ndarray, light: np.ndarray) -> np.ndarray:
    ink: Any = (images > middle[:, np.newaxis, np.newaxis]) ^ (light > 0.5)[:, np.newaxis, np.newaxis]
    across, down = ink.any(axis=1), ink.any(axis=2)
    width, height = (line.shape[1] - line.argmax(axis=1) - line[:, ::-1].argmax(axis=1) for line in (across, down))
    is_strokes = across.any(axis=1) & (ink.mean(axis=(1, 2)) <= STROKES)
    return np.where(is_strokes, np.log(width / height), 0).astype(np.float32)


def is_flat(table: pd.DataFrame) -> pd.Series:
    """Which images have a single value. Two such images are alike without one being a copy of the other."""
    return table.low == table.high


def find_problems(
    split: Literal["train", "test"],
    schema: Schema,
    data: xr.DataArray | pd.DataFrame,
    names: tuple[str, ...] = (),
) -> Iterator[Problem]:
    """The rules of `schema` that `data` breaks, in the order of the schema. `names` are those of its images or classes,
    if they have any but their numbers.
    """
    unit = "classes" if schema.name == "classes" else "images"
    for error in _schema_errors(schema, data):
        rule = getattr(error.check, "name", None) or str(error.check).partition("(")[0]
        text = getattr(error.check, "error", None) or _in_words(str(error))
        positions = _failing_positions(error.check_output)
        yield Problem(
            split="both" if rule in RULES_ON_BOTH_SPLITS else split,
            check=rule,
            message=f"{split} {schema.name}: {text}{_first_few(unit, positions, names)}",
            count=max(1, len(positions)),
            images=tuple(positions[:LISTED]) if unit == "images" else (),
        )


def _in_words(error: str) -> str:
    """An error of pandera's about sizes, in words; another one as it is."""
    if not (sizes := re.fullmatch(r"expected size (\w+)=(\d+), got (\d+)", error)):
        return error
    dimension, expected, got = sizes.groups()
    if dimension == "image":
        return f"there are {got} for {expected} images; each image needs one"
    return f"their {dimension} is {got} pixels, and {expected} in training; scale them"


def is_tolerable(problem: Problem, sizes: dict[str, int]) -> bool:
    """Whether the problem is only a warning, in splits of `sizes` images."""
    if problem.check not in TOLERANCE:
        return False
    return problem.count <= max(1, TOLERANCE[problem.check] * max(1, sizes[problem.split]))


def _schema_errors(schema: Schema, data: xr.DataArray | pd.DataFrame) -> list[SchemaError]:
    # pandera's environment variables can switch validation off; this switches it on again
    with config_context(validation_enabled=True, validation_depth=ValidationDepth.SCHEMA_AND_DATA):
        try:
            schema.validate(data, lazy=True)
        except SchemaErrors as errors:
            return list(errors.schema_errors)
    return []


def _failing_positions(output: Any) -> list[int]:
    """Positions along the first axis where a check's output is False; none if the check is not about elements."""
    passed = np.asarray(True if output is None else output)
    return np.unique(np.nonzero(~passed)[0]).tolist() if passed.ndim else []


def _first_few(unit: str, positions: list[int], names: tuple[str, ...]) -> str:
    more = f" and {len(positions) - 5} more" if len(positions) > 5 else ""
    return f" ({unit} {', '.join(name_of(i, names) for i in positions[:5])}{more})" if positions else ""
