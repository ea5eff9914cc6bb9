"""The contracts of image data: the rules for the arrays, for each image and for each class."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pandera.pandas as tables
import pandera.xarray as arrays
import xarray as xr

from tasks.data.quality import DataReport, Problem, SplitStatistics, find_problems, is_flat, is_tolerable

DIMENSIONS = ("image", "height", "width")
MIN_SIDE = 4
"""Pixels a side that the default network needs: its 3x3 convolution and 2x2 pool leave one value of 4x4."""
MIN_CLASS_SHARE = 0.1
"""Number of images that every class should have, as a share of the most frequent class."""
INVERTED = 0.75
"""Difference in `light` from which an image counts as inverted: about 1 between an MNIST image and its negative."""
SIDEWAYS = 0.1
"""Mean `wideness` from which images seem to lie on their side: MNIST has -0.30, and 0.30 when it is transposed."""


def check_data(
    *,
    train_images: np.ndarray,
    train_labels: np.ndarray,
    test_images: np.ndarray,
    test_labels: np.ndarray,
    classes: int | None,
    class_names: tuple[str, ...] = (),
    files: tuple[tuple[str, ...], tuple[str, ...]] = ((), ()),
) -> DataReport:
    """Check uint8 images (n, height, width) and labels (n,) against all contracts, and list every broken rule.

    `classes` None: one more than the greatest training label. Messages call classes by their `class_names`, and the
    images of both splits by their `files`, where there are such. Memory: about 30 bytes an image. Deterministic.
    """
    train, test = SplitStatistics(train_images, train_labels), SplitStatistics(test_images, test_labels)
    size = classes or int(train.label_counts.nonzero()[0].max(initial=0)) + 1
    ours, others = files
    problems = [
        *find_problems("train", image_contract(train_images), _as_data_array("images", train_images), ours),
        *find_problems("train", label_contract(train, classes), _as_data_array("labels", train_labels), ours),
        *find_problems("train", statistics_contract(test.image_table), train.image_table, ours),
        *find_problems("train", class_contract(train.class_table(size)), train.class_table(size), class_names),
        *find_problems("test", image_contract(train_images), _as_data_array("images", test_images), others),
        *find_problems("test", label_contract(test, classes, train), _as_data_array("labels", test_labels), others),
        *find_problems("test", statistics_contract(), test.image_table, others),
    ]
    sizes = {"train": len(train.image_table), "test": len(test.image_table)}
    return DataReport(
        errors=tuple(problem for problem in problems if not is_tolerable(problem, sizes)),
        warnings=tuple(problem for problem in problems if is_tolerable(problem, sizes)),
        train=train.summary(size),
        test=test.summary(size),
    )


def check_split(images: np.ndarray, labels: np.ndarray) -> tuple[tuple[Problem, ...], tuple[Problem, ...]]:
    """The errors and warnings of images and labels by themselves, whatever data set they will be part of."""
    split = SplitStatistics(images, labels)
    problems = [
        *find_problems("train", image_contract(images), _as_data_array("images", images)),
        *find_problems("train", label_contract(split, None), _as_data_array("labels", labels)),
        *find_problems("train", statistics_contract(), split.image_table),
    ]
    sizes = {"train": len(images)}
    errors = tuple(problem for problem in problems if not is_tolerable(problem, sizes))
    return errors, tuple(problem for problem in problems if is_tolerable(problem, sizes))


def image_contract(train_images: np.ndarray) -> arrays.DataArraySchema:
    """Images of either split: uint8, three dimensions, of the training images' height and width."""
    is_large = arrays.Check(
        lambda images: min(images.shape[1:3], default=MIN_SIDE) >= MIN_SIDE,
        name="small",
        error=f"height and width must be at least {MIN_SIDE} pixels, for a convolution and a pool; enlarge the images",
    )
    return arrays.DataArraySchema(
        dtype="uint8",
        dims=DIMENSIONS,
        sizes=dict(zip(DIMENSIONS[1:], train_images.shape[1:], strict=False)),
        checks=[NOT_EMPTY, is_large],
        nullable=True,  # bytes cannot be null, and pandera's search for nulls needs a mask as large as the data
        name="images",
    )


def label_contract(
    split: SplitStatistics, classes: int | None, train: SplitStatistics | None = None
) -> arrays.DataArraySchema:
    """Labels: uint8, one for each image, below `classes`. Those of the test split must occur in `train`."""
    bound = classes or 256
    checks = [NOT_EMPTY]
    if classes is not None:
        error = f"must be below {bound}, the number of classes; correct the labels or remove the images"
        checks.append(arrays.Check(lambda labels: labels < bound, name="label-range", error=error))
    if train is not None and train.label_counts.any():
        known = train.label_counts.nonzero()[0]
        error = "must occur in training; add training images of the class or remove the test images"
        unseen = arrays.Check(lambda labels: labels.isin(known) | (labels >= bound), name="unseen-label", error=error)
        checks.append(unseen)
    sizes = dict(zip(DIMENSIONS, split.images.shape[:1], strict=False))
    return arrays.DataArraySchema(dtype="uint8", dims=DIMENSIONS[:1], sizes=sizes, checks=checks, name="labels")


def statistics_contract(test: pd.DataFrame | None = None) -> tables.DataFrameSchema:
    """The image table of a split. That of the training split is compared with the image table `test`."""
    digest: list[tables.Check] = []
    wideness: list[tables.Check] = []
    light = [_rule("inverted", "dark and light are swapped, compared with the other images; invert it", _same_polarity)]
    if test is not None:
        known, typical = test.digest[~is_flat(test)], test.light.median()
        leak = "the test split has the same image, so accuracy would be inflated; remove it from the training images"
        digest.append(_rule("leak", leak, lambda digests: ~digests.isin(known)))
        swapped = "one split is dark on light and the other light on dark; invert one of them"
        light.append(_rule("polarity", swapped, lambda train: not abs(train.median() - typical) > INVERTED))
        turned = "wider than tall: if they show characters, they lie on their side, as EMNIST's do; transpose them"
        wideness.append(_rule("sideways", turned, lambda train: not train.mean() > SIDEWAYS))
    copy = "an earlier image of the split is the same, and so counts twice; remove the copy, or keep it on purpose"
    contradiction = "the same image has another label in the split; correct the labels, or remove all its copies"
    columns = {
        "mean": tables.Column("float32", tables.Check.in_range(0, 255)),
        "deviation": tables.Column("float32", tables.Check.in_range(0, 128)),
        "coverage": tables.Column("float32", tables.Check.in_range(0, 1)),
        "low": tables.Column("uint8"),
        "high": tables.Column("uint8", _rule("blank", "every pixel is 0; remove the image", lambda high: high > 0)),
        "light": tables.Column("float32", light),
        "wideness": tables.Column("float32", wideness),
        "digest": tables.Column("uint64", digest),
        "constant": tables.Column(bool, _rule("constant", "all pixels are the same; remove the image", np.logical_not)),
        "duplicate": tables.Column(bool, _rule("duplicate", copy, np.logical_not)),
        "contradiction": tables.Column(bool, _rule("contradiction", contradiction, np.logical_not)),
    }
    return tables.DataFrameSchema(columns, strict=True, name="images")


def class_contract(classes: pd.DataFrame) -> tables.DataFrameSchema:
    """The class table of the training split, which is `classes`."""
    first = int((classes.images > 0).to_numpy().argmax()) if len(classes) else 0
    begin = f"labels begin at {first}, but classes count from 0; subtract {first}, and keep the names in a classes.txt"
    few = f"each should have {MIN_CLASS_SHARE:.0%} of the images of the most frequent class; add some"
    checks = [
        _rule("classes", "at least 2 must occur; add images", lambda n: n.empty or (n > 0).sum() > 1),
        _rule("first-label", begin, lambda n: first == 0),
        _rule(
            "missing-class", "a class without images is never learned; add some", lambda n: (n > 0) | (n.index < first)
        ),
        _rule("imbalance", few, lambda n: (n == 0) | (n >= MIN_CLASS_SHARE * n.max())),
    ]
    return tables.DataFrameSchema({"images": tables.Column("int64", checks)}, strict=True, name="classes")


NOT_EMPTY = arrays.Check(lambda array: array.size > 0, name="empty", error="there are none; check the source")


def _rule(name: str, error: str, check: Callable[[pd.Series], Any]) -> tables.Check:
    return tables.Check(check, name=name, error=error)


def _same_polarity(light: pd.Series) -> pd.Series:
    return (light - light.median()).abs() <= INVERTED


def _as_data_array(name: str, array: np.ndarray) -> xr.DataArray:
    dimensions = [*DIMENSIONS, *(f"axis {i}" for i in range(3, array.ndim))][: array.ndim]
    return xr.DataArray(array, dims=dimensions, name=name)
