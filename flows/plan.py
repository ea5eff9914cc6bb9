"""What a run does, with every default filled in before it starts."""

import os
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field, model_validator

from artifacts.errors import UsageError
from artifacts.storage.settings import Settings
from tasks.data import idx
from tasks.data.datasets import FILES, MIRRORS, NAMES, SAMPLE, SAMPLE_SOURCE, SOURCES, Mirrors, Source
from tasks.evaluation.gate import Gate
from tasks.model.hyperparameters import Hyperparameters
from tasks.model.recipes import Recipe, choose, default_min_accuracy


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
    ) -> "Plan":
        """The plan of these requests. Raises UsageError for an unknown name, BadSource for an unusable folder."""
        source, mirrors = locate(dataset, settings)
        if gate.min_accuracy is None:
            gate = gate.model_copy(update={"min_accuracy": default_min_accuracy(recipe, source.name)})
        return cls(
            source=source,
            mirrors=mirrors,
            classes=10 if source.name in NAMES else None,
            recipe=recipe,
            hyperparameters=choose(recipe, source.name, hyperparameters),
            seed=seed,
            gate=gate,
        )


def locate(dataset: str, settings: Settings) -> tuple[Source, Mirrors]:
    """The data set with that name, or in the folder with that path, and the mirrors that serve it."""
    if dataset == SAMPLE:
        return SAMPLE_SOURCE, Mirrors(urls=())
    if dataset in SOURCES:
        return SOURCES[dataset], Mirrors(urls=settings.mirrors or MIRRORS[dataset], timeout=settings.timeout)
    folder = Path(dataset).expanduser().absolute()
    if not folder.is_dir():
        raise UsageError(
            f"unknown data set {dataset!r}; choose one of {', '.join(NAMES)}, or a folder with the files "
            + ", ".join(FILES)
        )
    limit = settings.max_file_bytes
    digests = [idx.decompress(idx.find_file(folder, name), Path(os.devnull), limit) for name in FILES]
    name = f"{folder.name} (folder)" if folder.name in NAMES else folder.name
    source = Source.model_validate({"name": name, "digests": digests})
    return source, Mirrors(urls=(f"{folder.as_uri()}/",), max_file_bytes=limit)
