"""The contracts of image data: what the arrays, each image and each class must be, and all that breaks them."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pandera.pandas as tables
import pandera.xarray as arrays
import xarray as xr

from tasks.data.quality import DataReport, SplitStatistics, is_flat, is_odd, problems

DIMENSIONS = ("image", "height", "width")
SMALLEST = 4
"""Pixels a side that the default network needs: its 3x3 convolution and 2x2 pool leave one value of 4x4."""
BALANCE = 0.1
"""Share of the most frequent class's images that every class should have."""
OPPOSITE = 0.75
"""Difference in `light` that means inverted: about 1 between an MNIST image and its negative."""


def check_data(
    train_images: np.ndarray,
    train_labels: np.ndarray,
    test_images: np.ndarray,
    test_labels: np.ndarray,
    classes: int | None,
) -> DataReport:
    """Hold uint8 images (n, height, width) and labels (n,) against every contract and list all that breaks them.

    `classes` None: as many as the greatest training label says. Memory: about 30 bytes an image. Deterministic.
    """
    train, test = SplitStatistics(train_images, train_labels), SplitStatistics(test_images, test_labels)
    size = classes or int(train.counts.nonzero()[0].max(initial=0)) + 1
    found = [
        *problems("train", image_contract(train_images), _named("images", train_images)),
        *problems("train", label_contract(train, classes), _named("labels", train_labels)),
        *problems("train", table_contract(test.table), train.table),
        *problems("train", class_contract(), train.class_table(size)),
        *problems("test", image_contract(train_images), _named("images", test_images)),
        *problems("test", label_contract(test, classes, train), _named("labels", test_labels)),
        *problems("test", table_contract(), test.table),
    ]
    sizes = {"train": len(train.table), "test": len(test.table)}
    return DataReport(
        errors=tuple(problem for problem in found if not is_odd(problem, sizes)),
        warnings=tuple(problem for problem in found if is_odd(problem, sizes)),
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


def label_contract(
    split: SplitStatistics, classes: int | None, train: SplitStatistics | None = None
) -> arrays.DataArraySchema:
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
    """One row of `statistics.measure` an image; of the training images against those of `test`."""
    digest: list[tables.Check] = []
    light = [_rule("inverted", "dark and light are swapped, compared with the other images; invert it", _same_polarity)]
    if test is not None:
        known, typical = test.digest[~is_flat(test)], test.light.median()
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


def _named(name: str, array: np.ndarray) -> xr.DataArray:
    dimensions = [*DIMENSIONS, *(f"axis {i}" for i in range(3, array.ndim))][: array.ndim]
    return xr.DataArray(array, dims=dimensions, name=name)
