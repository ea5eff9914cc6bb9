"""What a run does, with every default filled in before it starts."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field, model_validator

from artifacts.errors import UsageError
from artifacts.storage.settings import Settings
from tasks.data.datasets import (
    FILES,
    MIRRORS,
    NAMES,
    SAMPLE,
    SAMPLE_SOURCE,
    SOURCES,
    Mirrors,
    Place,
    Source,
    require_utf8,
)
from tasks.evaluation.gate import Gate
from tasks.model.hyperparameters import Hyperparameters
from tasks.model.recipes import Recipe, choose, default_min_accuracy
from tasks.registry.registry import Registry


class Execution(BaseModel, frozen=True, extra="forbid"):
    """What trains the trials: `processes` of this machine (default: one a core; with JAX one), or Dask's workers."""

    runner: Literal["processes", "dask"] = "processes"
    processes: int | None = Field(None, ge=1, le=1024)
    address: str = Field("", description="Of Dask's scheduler, such as tcp://127.0.0.1:8786")

    @model_validator(mode="after")
    def _complete(self) -> "Execution":
        if (self.runner == "dask") != bool(self.address):
            raise ValueError("the runner dask needs the address of a scheduler, and no other does")
        return self


PATIENCE = 6
"""Seconds that a command waits for the first mirror to answer."""


class Plan(BaseModel, frozen=True):
    """A data set by content, a recipe with its hyperparameters, a seed and a gate."""

    source: Source
    mirrors: Mirrors
    place: Place | None
    """Where people's own data are; None for a data set that is downloaded."""
    classes: int | None
    recipe: Recipe
    hyperparameters: Hyperparameters
    seed: int
    gate: Gate

    @property
    def title(self) -> tuple[str, str, int]:
        return self.source.name, self.recipe, self.seed

    @classmethod
    def of(
        cls,
        dataset: str,
        recipe: Recipe,
        seed: int,
        *,
        hyperparameters: BaseModel,
        gate: Gate,
        settings: Settings,
        dataset_name: str = "",
    ) -> "Plan":
        """The plan of these requests. Raises UsageError for an unknown name, and for a folder that is no data set."""
        Registry(settings.home)  # an address at which there can be no registry is an error now
        source, origin = locate(dataset, settings, dataset_name)
        if gate.min_accuracy is None:
            gate = gate.model_copy(update={"min_accuracy": default_min_accuracy(recipe, source.name)})
        return cls(
            source=source,
            mirrors=origin if isinstance(origin, Mirrors) else Mirrors(urls=()),
            place=origin if isinstance(origin, Place) else None,
            classes=10 if source.name in NAMES else None,
            recipe=recipe,
            hyperparameters=choose(recipe, source.name, hyperparameters),
            seed=seed,
            gate=gate,
        )


def locate(dataset: str, settings: Settings, name: str = "") -> tuple[Source, Mirrors | Place]:
    """The data set with that name and the mirrors that serve it, or the data at that path or URL and where they are.

    `name` is what people's own data are called; by default, as their folder.
    """
    if dataset == SAMPLE or dataset in SOURCES:
        if name and name != dataset:
            raise UsageError(f"the data set {dataset} has its name; give --dataset-name with a path only")
        mirrors = () if dataset == SAMPLE else settings.mirrors or MIRRORS[dataset]
        return SOURCES.get(dataset, SAMPLE_SOURCE), Mirrors(urls=mirrors, timeout=settings.timeout)
    if name in NAMES:
        raise UsageError(f"{name} is the name of another data set; choose another --dataset-name")
    if "://" not in dataset and not Path(dataset).expanduser().exists():
        raise UsageError(
            f"unknown data set {dataset!r}; choose one of {', '.join(NAMES)}, or the path of your data, such as a "
            f"folder with {', '.join(FILES)}, or with a folder of pictures a class"
        )
    for text in (dataset, name):
        require_utf8(text)
    from tasks.data.reader.place import locate_data

    return locate_data(dataset, settings.home, settings.max_file_bytes, name)
