"""The contracts of image data: what the arrays, each image and each class must be, and all that breaks them."""

import hashlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import pandera.pandas as tables
import pandera.xarray as arrays
import xarray as xr
from pandera.config import ValidationDepth, config_context
from pandera.errors import SchemaError, SchemaErrors
from pydantic import BaseModel, ConfigDict

from artifacts.arrays import CHUNK

Schema = arrays.DataArraySchema | tables.DataFrameSchema

DIMENSIONS = ("image", "height", "width")
SMALLEST = 4
"""Pixels a side that the default network needs: its 3x3 convolution and 2x2 pool leave one value of 4x4."""
SHOWN = 100
"""Images that a problem lists; its count is exact beyond them."""
BALANCE = 0.1
"""Share of the most frequent class's images that every class should have."""
OPPOSITE = 0.75
"""Difference in `light` that means inverted: about 1 between an MNIST image and its negative."""
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


class Problem(BaseModel):
    """One broken rule. `images` are the first SHOWN offenders; those of a leak are training images.

    `message` stands alone: it names the split, the array, the rule, a remedy and the first offenders.
    `count` is the number of offending images, or of classes where the rule is about classes, or else 1.
    """

    model_config = ConfigDict(frozen=True)

    split: Literal["train", "test", "both"]
    check: str
    message: str
    count: int
    images: tuple[int, ...]


class SplitFacts(BaseModel):
    """A split in numbers: `classes[i]` images have label i.

    `mean_ink` is the mean pixel / 255, `coverage` the share of pixels above 0, `contrast` the mean of the images'
    standard deviations / 255. `constant` leaves out blank images; `duplicates` are second and later copies.
    """

    model_config = ConfigDict(frozen=True)

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


class DataReport(BaseModel):
    """What makes the data unusable, what is only odd, and the facts of each split whose arrays are sound."""

    model_config = ConfigDict(frozen=True)

    errors: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    train: SplitFacts | None
    test: SplitFacts | None


def inspect(
    train_images: np.ndarray,
    train_labels: np.ndarray,
    test_images: np.ndarray,
    test_labels: np.ndarray,
    classes: int | None,
) -> DataReport:
    """Hold uint8 images (n, height, width) and labels (n,) against every contract and list all that breaks them.

    `classes` None: as many as the greatest training label says. Memory: about 30 bytes an image. Deterministic.
    """
    train, test = _Split(train_images, train_labels), _Split(test_images, test_labels)
    size = classes or int(train.counts.nonzero()[0].max(initial=0)) + 1
    found = [
        *_problems("train", image_contract(train_images), _named("images", train_images)),
        *_problems("train", label_contract(train, classes), _named("labels", train_labels)),
        *_problems("train", table_contract(test.table), train.table),
        *_problems("train", class_contract(), train.class_table(size)),
        *_problems("test", image_contract(train_images), _named("images", test_images)),
        *_problems("test", label_contract(test, classes, train), _named("labels", test_labels)),
        *_problems("test", table_contract(), test.table),
    ]
    mild = [_is_odd(problem, {"train": train, "test": test}) for problem in found]
    return DataReport(
        errors=tuple(problem for problem, odd in zip(found, mild, strict=True) if not odd),
        warnings=tuple(problem for problem, odd in zip(found, mild, strict=True) if odd),
        train=train.facts(size),
        test=test.facts(size),
    )


def image_contract(train_images: np.ndarray) -> arrays.DataArraySchema:
    """Images of either split: uint8, three dimensions, as large as the training images."""
    large = arrays.Check(
        lambda images: min(images.shape[1:3], default=SMALLEST) >= SMALLEST,
        name="small",
        error=f"height and width must be at least {SMALLEST} pixels, for a convolution and a pool; enlarge the images",
    )
    return arrays.DataArraySchema(
        dtype="uint8",
        dims=DIMENSIONS,
        sizes=dict(zip(DIMENSIONS[1:], train_images.shape[1:], strict=False)),
        checks=[NOT_EMPTY, large],
        nullable=True,  # bytes cannot be null, and looking for nulls takes a mask as large as the data
        name="images",
    )


def label_contract(split: "_Split", classes: int | None, train: "_Split | None" = None) -> arrays.DataArraySchema:
    """Labels: uint8, one for each image, below `classes`, and for the test split among those of `train`."""
    bound = classes or 256
    checks = [NOT_EMPTY]
    if classes is not None:
        error = f"must be below {bound}, the number of classes; correct the labels or remove the images"
        checks.append(arrays.Check(lambda labels: labels < bound, name="label-range", error=error))
    if train is not None and train.counts.any():
        known = train.counts.nonzero()[0]
        error = "must occur in training; add training images of the class or remove the test images"
        unseen = arrays.Check(lambda labels: labels.isin(known) | (labels >= bound), name="unseen-label", error=error)
        checks.append(unseen)
    sizes = dict(zip(DIMENSIONS, split.images.shape[:1], strict=False))
    return arrays.DataArraySchema(dtype="uint8", dims=DIMENSIONS[:1], sizes=sizes, checks=checks, name="labels")


def table_contract(test: pd.DataFrame | None = None) -> tables.DataFrameSchema:
    """One row of statistics an image, as `_measure` takes them; of the training images against those of `test`."""
    digest: list[tables.Check] = []
    light = [_rule("inverted", "dark and light are swapped, compared with the other images; invert it", _same_polarity)]
    if test is not None:
        known, typical = test.digest[~_flat(test)], test.light.median()
        leak = "the test split has the same image, so accuracy would be inflated; remove it from the training images"
        digest.append(_rule("leak", leak, lambda digests: ~digests.isin(known)))
        swapped = "one split is dark on light and the other light on dark; invert one of them"
        light.append(_rule("polarity", swapped, lambda train: not abs(train.median() - typical) > OPPOSITE))
    copy = "an earlier image of the split is the same; remove the copy"
    columns = {
        "mean": tables.Column("float32", tables.Check.in_range(0, 255)),
        "deviation": tables.Column("float32", tables.Check.in_range(0, 128)),
        "coverage": tables.Column("float32", tables.Check.in_range(0, 1)),
        "low": tables.Column("uint8"),
        "high": tables.Column("uint8", _rule("blank", "every pixel is 0; remove the image", lambda high: high > 0)),
        "light": tables.Column("float32", light),
        "digest": tables.Column("uint64", digest),
        "constant": tables.Column(bool, _rule("constant", "all pixels are the same; remove the image", np.logical_not)),
        "duplicate": tables.Column(bool, _rule("duplicate", copy, np.logical_not)),
    }
    return tables.DataFrameSchema(columns, strict=True, name="images")


def class_contract() -> tables.DataFrameSchema:
    """One row a class: its training images."""
    few = f"under {BALANCE:.0%} of the images of the most frequent class; add some"
    checks = [
        _rule("classes", "at least 2 must occur; add images", lambda n: n.empty or (n > 0).sum() > 1),
        _rule("missing-class", "without an image, a class is never learned; add some", lambda n: n > 0),
        _rule("imbalance", few, lambda n: (n == 0) | (n >= BALANCE * n.max())),
    ]
    return tables.DataFrameSchema({"images": tables.Column("int64", checks)}, strict=True, name="classes")


NOT_EMPTY = arrays.Check(lambda array: array.size > 0, name="empty", error="there are none; check the source")


def _rule(name: str, error: str, check: Callable[[pd.Series], Any]) -> tables.Check:
    return tables.Check(check, name=name, error=error)


def _same_polarity(light: pd.Series) -> pd.Series:
    return (light - light.median()).abs() <= OPPOSITE


def _flat(table: pd.DataFrame) -> pd.Series:
    """Which images have one value only: these are alike without being copies."""
    return table.low == table.high


@dataclass
class _Split:
    """The arrays of one split as they came, and what can be measured of them if they are sound: else nothing."""

    images: np.ndarray
    labels: np.ndarray

    @cached_property
    def table(self) -> pd.DataFrame:
        sound = self.images.dtype == np.uint8 and self.images.ndim == 3 and self.images.size > 0
        images = self.images if sound else np.empty((0, 1, 1), np.uint8)
        table = pd.concat(
            [_measure(images[i : i + CHUNK]) for i in range(0, max(1, len(images)), CHUNK)], ignore_index=True
        )
        flat = _flat(table)
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


def _measure(images: np.ndarray) -> pd.DataFrame:
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


def _named(name: str, array: np.ndarray) -> xr.DataArray:
    dimensions = [*DIMENSIONS, *(f"axis {i}" for i in range(3, array.ndim))][: array.ndim]
    return xr.DataArray(array, dims=dimensions, name=name)


def _problems(split: Literal["train", "test"], schema: Schema, data: xr.DataArray | pd.DataFrame) -> Iterator[Problem]:
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
            return errors.schema_errors
    return []


def _offenders(output: Any) -> list[int]:
    """Positions along the first axis where a check's output is False; none if it is not about elements."""
    passed = np.asarray(True if output is None else output)
    return np.unique(np.nonzero(~passed)[0]).tolist() if passed.ndim else []


def _is_odd(problem: Problem, splits: dict[str, _Split]) -> bool:
    """Whether the problem is only a warning."""
    if problem.check not in TOLERANCE:
        return False
    return problem.count <= max(1, TOLERANCE[problem.check] * max(1, len(splits[problem.split].table)))
