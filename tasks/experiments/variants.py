"""The variants of an experiment: the tutorial's extensions, the grid or list of a file, or a search space."""

import itertools
import math
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field, ValidationError, model_validator

from artifacts.errors import UsageError, describe_validation_error
from tasks.model.hyperparameters import Hyperparameters

AS_IS = "as is"

EXTENSIONS: dict[str, dict[str, Any]] = {
    AS_IS: {},
    # network depth: the tutorial adds a convolution before the pool
    "two convolutions": {"filters": (8, 8), "pool": (1, 2)},
    "three convolutions": {"filters": (8, 8, 8), "pool": (1, 1, 2)},
    "dropout": {"dropout": 0.5},
    # a dense layer with ReLU, which the convolution gets too: compare with "relu" for the effect of the layer alone
    "dense layer": {"dense": (64,), "activation": "relu"},
    # the convolution's parameters, one by one and then as the tutorial combines them
    "32 filters": {"filters": (32,)},
    "5 by 5 kernel": {"kernel_size": (5,)},
    "strides 2": {"strides": (2,)},
    "same padding": {"padding": "same"},
    "relu": {"activation": "relu"},
    "strides 2, same padding, relu": {"strides": (2,), "padding": "same", "activation": "relu"},
}
"""The tutorial's section "Extensions", as changes to a recipe."""

LIMIT = 1000
"""Most variants in one experiment."""


class Between(BaseModel, frozen=True, extra="forbid"):
    """A range of numbers with its ends. With `log`, each order of magnitude is equally likely."""

    low: int | float
    high: int | float
    log: bool = False

    @model_validator(mode="after")
    def _in_order(self) -> "Between":
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise ValueError("low must be less than high")
        if self.log and self.low <= 0:
            raise ValueError("low must be more than 0 on a logarithmic scale")
        return self


Choices = Annotated[tuple[Any, ...], Field(min_length=1)]
Space = dict[str, Between | Choices]

SPACE: Space = {
    "filters": ((8,), (16,), (32,), (8, 16), (16, 32), (32, 64)),
    "kernel_size": ((3,), (5,)),
    "activation": ("linear", "relu", "gelu"),
    "dense": ((), (64,), (128,)),
    "dropout": (0.0, 0.25, 0.5),
    "batch_size": (32, 64, 128),
    "learning_rate": Between(low=0.001, high=0.03, log=True),
}
"""The search space, unless a file declares another."""


class ExperimentFile(BaseModel, extra="forbid"):
    """The content of a file: exactly one of the three fields."""

    grid: dict[str, Choices] | None = Field(None, min_length=1)
    sets: list[dict[str, Any]] | None = Field(None, min_length=1, max_length=LIMIT, alias="list")
    space: Space | None = Field(None, min_length=1)

    @model_validator(mode="after")
    def _one(self) -> "ExperimentFile":
        if len(self.model_fields_set) != 1:
            raise ValueError("give exactly one of grid, list and space")
        return self

    def variants(self) -> dict[str, dict[str, Any]]:
        """The changes of each variant by its name. Raises UsageError for two variants of one name, or for too many."""
        if math.prod(map(len, (self.grid or {}).values())) > LIMIT:
            raise UsageError(f"the grid has more than {LIMIT} variants; leave out some values")
        variants: dict[str, dict[str, Any]] = {}
        for entry in self.sets or self._product():
            changes = {key: value for key, value in entry.items() if key != "name"}
            name = str(entry.get("name", describe_changes(changes)))
            if name in variants:
                raise UsageError(f"{name!r} is there twice")
            variants[name] = changes
        return variants

    def _product(self) -> list[dict[str, Any]]:
        if not self.grid:
            return []
        return [dict(zip(self.grid, values, strict=True)) for values in itertools.product(*self.grid.values())]


def read_variants(path: Path, base: Hyperparameters) -> ExperimentFile:
    """Read a YAML or TOML file, and check that each variant has valid hyperparameters. Raises UsageError."""
    try:
        declared = ExperimentFile.model_validate(_parse(path))
        for name, options in (declared.space or {}).items():
            field = Hyperparameters.model_fields.get(name)
            if isinstance(options, Between) and field and field.annotation not in (int, float):
                raise UsageError(f"{name} is no number, so it has no range; give a list of values")
        for name, changes in [*declared.variants().items(), *_corners(declared.space or {})]:
            apply_changes(base, name, changes)
        return declared
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None
    except ValidationError as error:
        raise UsageError(f"{path} declares no experiment: {describe_validation_error(error)}") from None
    except UsageError as error:
        raise UsageError(f"{path} declares no experiment: {error}") from None


def apply_changes(base: Hyperparameters, name: str, changes: Mapping[str, Any]) -> Hyperparameters:
    """`base` with `changes`. If these have fewer filters, the base's other lists are cut to the same length.

    Raises UsageError, which names the variant and what is wrong with it.
    """
    values = base.model_dump()
    if isinstance(filters := changes.get("filters"), list | tuple) and filters:
        values |= {name: values[name][: len(filters)] for name in ("kernel_size", "strides", "pool", "padding")}
    try:
        return Hyperparameters.model_validate(values | dict(changes))
    except ValidationError as error:
        raise UsageError(f"{name}: {describe_validation_error(error)}") from None


def describe_changes(changes: Mapping[str, Any]) -> str:
    """A name for changes: `learning_rate 0.01, filters 8 16`."""
    return ", ".join(f"{name.replace('_', ' ')} {_as_text(value)}" for name, value in changes.items()) or AS_IS


def _as_text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return " ".join(map(str, value)) or "none"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _corners(space: Space) -> list[tuple[str, dict[str, Any]]]:
    """Each value of a space and both ends of each range as a change, to check them one by one.

    Each comes with the fewest convolutions of the space. What is valid then is valid in every combination.
    """
    filters = space.get("filters", ())
    fewest = {"filters": min(filters, key=len)} if isinstance(filters, tuple) and filters else {}
    return [
        (f"space {name}", fewest | {name: value})
        for name, options in space.items()
        for value in ((options.low, options.high) if isinstance(options, Between) else options)
    ]


def _parse(path: Path) -> Any:
    import yaml

    text = path.read_bytes()
    try:
        if path.suffix == ".toml":
            return tomllib.loads(text.decode())
        if path.suffix in (".yaml", ".yml", ".json"):
            return yaml.safe_load(text)
    except (yaml.YAMLError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"it is no {path.suffix[1:].upper()}: {' '.join(str(error).split())}") from None
    raise UsageError("its name should end in .yaml or .toml")
