"""What was found in image data: every broken rule as a problem, and each split in numbers."""

import math
from collections.abc import Iterator
from typing import Any, Literal, TypeAlias

import numpy as np
import pandas as pd
import pandera.pandas as tables
import pandera.xarray as arrays
import xarray as xr
from pandera.config import ValidationDepth, config_context
from pandera.errors import SchemaError, SchemaErrors
from pydantic import BaseModel

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
