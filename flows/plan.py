"""What a run does, with every default filled in before it starts."""

from collections.abc import Collection
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field, model_validator

from artifacts.errors import UsageError, suggest
from artifacts.storage.home import absolute
from artifacts.storage.remote import refuse_password
from artifacts.storage.settings import Settings
from tasks.data.datasets import (
    FILES,
    MIRRORS,
    NAMES,
    SAMPLE,
    SAMPLE_SOURCE,
    SIDE,
    SOURCES,
    Mirrors,
    Place,
    Source,
    require_utf8,
)
from tasks.evaluation.gate import Gate
from tasks.model.hyperparameters import Hyperparameters
from tasks.model.layer_sizes import check_image_size
from tasks.model.recipes import Recipe, changed, choose, default_min_accuracy
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


OF_BATCHES = ("select-new-holdout", "evaluate-fresh")
"""The steps that a run has only if batches of its data set were accepted."""
STEPS = (
    *("validate", "normalise-and-reshape", "one-hot-encode", "train", "evaluate", "save-weights"),
    *(*OF_BATCHES, "evaluate-champion", "check-gate", "report"),
)
"""The steps of a training run after the first, which downloads or reads, in their order."""
TRIAL_STEPS = ("hold-out", "trial", "compare")
"""The steps of an experiment before it trains the winner."""
PATIENCE = 6.0
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
    refresh: frozenset[str]
    """The names of steps that are computed although nothing changed."""
    until: str
    """The name of the step after which the run ends; "" for all steps."""

    @property
    def title(self) -> tuple[str, str, int]:
        return self.source.name, self.recipe, self.seed

    @property
    def changes(self) -> dict[str, Any]:
        """The hyperparameters that differ from the recipe's own, as JSON values by their names."""
        return changed(self.recipe, self.source.name, self.hyperparameters)

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
        refresh: Collection[str] = (),
        until: str = "",
        other_steps: tuple[str, ...] = (),
        can_have_batches: bool | None = None,
    ) -> "Plan":
        """The plan of these requests. Raises UsageError for an unknown name, and for a folder that is no data set.

        `other_steps` are those that the flow has beside a training run's. A run that `can_have_batches` can have the
        steps OF_BATCHES; by default, it can if there are accepted ones now.
        """
        Registry(settings.home)  # an address at which there can be no registry is an error now
        source, origin = locate(dataset, settings, dataset_name)
        steps = ["read" if isinstance(origin, Place) else "download", *STEPS, *other_steps]
        named = [*refresh, *filter(None, [until])]
        if named and not (_has_batches(source.name, settings) if can_have_batches is None else can_have_batches):
            steps = [step for step in steps if step not in OF_BATCHES]
        for name in named:
            if name not in steps:
                raise UsageError(f"this run has no step {name!r}; {suggest(name, steps)}")
            if until and steps.index(name) > steps.index(until):
                raise UsageError(f"the run ends after {until!r}, before {name!r}, which is to be computed again")
        chosen = choose(recipe, source.name, hyperparameters)
        if source.name in NAMES:  # the size of other images is known once they are read
            check_image_size(chosen, SIDE, SIDE)
        if gate.min_accuracy is None:
            gate = gate.model_copy(update={"min_accuracy": default_min_accuracy(recipe, source.name)})
        return cls(
            source=source,
            mirrors=origin if isinstance(origin, Mirrors) else Mirrors(urls=()),
            place=origin if isinstance(origin, Place) else None,
            classes=10 if source.name in NAMES else None,
            recipe=recipe,
            hyperparameters=chosen,
            seed=seed,
            gate=gate,
            refresh=frozenset(refresh),
            until=until,
        )


def locate(dataset: str, settings: Settings, name: str = "") -> tuple[Source, Mirrors | Place]:
    """The data set with that name and the mirrors that serve it, or the data at that path or URL and where they are.

    `name` is what people's own data are called; by default, as their folder.
    """
    if not dataset.strip():
        raise UsageError("the data set has no name; give one, or the path of your data")
    if dataset == SAMPLE or dataset in SOURCES:
        if name and name != dataset:
            raise UsageError(f"the data set {dataset} has its name; give --dataset-name with a path only")
        mirrors = () if dataset == SAMPLE else settings.mirrors or MIRRORS[dataset]
        return SOURCES.get(dataset, SAMPLE_SOURCE), Mirrors(urls=mirrors, timeout=settings.timeout)
    if name in NAMES:
        raise UsageError(f"{name} is the name of another data set; choose another --dataset-name")
    if "://" not in dataset and not absolute(Path(dataset)).exists():
        path = f"the path of your data, such as a folder with {', '.join(FILES)}, or with a folder of pictures a class"
        if "/" in dataset:
            raise UsageError(f"there is no file or folder {dataset}; give {path}")
        hint = suggest(dataset, NAMES)
        raise UsageError(f"unknown data set {dataset!r}; {hint}{'' if hint.endswith('?') else '.'} Or give {path}")
    for text in (dataset, name):
        require_utf8(text)
    refuse_password(dataset)
    from tasks.data.reader.place import locate_data

    return locate_data(dataset, settings.home, settings.max_file_bytes, name)


def _has_batches(dataset: str, settings: Settings) -> bool:
    from tasks.retraining.ledger import read_ledger

    return any(not batch.withdrawn for batch in read_ledger(dataset, settings.artifacts))
