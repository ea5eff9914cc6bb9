"""The options of the verb `experiment`: which variants are compared, and who trains them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Group, Parameter
from cyclopts.validators import Number
from pydantic import BaseModel, Field, ValidationError, model_validator

from artifacts.errors import UsageError
from artifacts.hyperparameters import Overrides, explain
from artifacts.search import Search
from artifacts.settings import Settings
from artifacts.variants import EXTENSIONS, SPACE, read
from flows.plan import Plan
from flows.request import HOW, Request

TRIED = Group("What to try", sort_key=0)


class Where(BaseModel, frozen=True, extra="forbid"):
    """Who fits: `processes` of this machine, as many as it has cores (with JAX: one) unless told, or Dask's workers."""

    runner: Literal["processes", "dask"] = "processes"
    processes: int | None = Field(None, ge=1, le=1024)
    address: str = Field("", description="Of Dask's scheduler, such as tcp://127.0.0.1:8786")

    @model_validator(mode="after")
    def _complete(self) -> "Where":
        if (self.runner == "dask") != bool(self.address):
            raise ValueError("the runner dask needs the address of a scheduler, and no other does")
        return self


@Parameter(name="*")
@dataclass(frozen=True)
class Trying:
    """Options of an experiment, besides those of the training of its winner."""

    variants: Annotated[tuple[str, ...], Parameter(group=TRIED, consume_multiple=True, negative="")] = ()
    "Some of the tutorial's extensions, instead of all."

    from_: Annotated[Path | None, Parameter(name="from", group=TRIED)] = None
    "YAML or TOML file with a grid, a list, or, for a search, a space of hyperparameters; see docs/extensions.md."

    search: Annotated[int | None, Parameter(group=TRIED, validator=Number(gte=1))] = None
    "Let Optuna propose so many trials, and try the best three with all seeds. The same again goes on or adds to it."

    study: Annotated[str, Parameter(group=TRIED)] = ""
    "Name under which a search is kept. Default: data set and recipe."

    round: Annotated[int, Parameter(group=TRIED, validator=Number(gte=1))] = 4
    "Trials that a search proposes at once, from the rounds before."

    seeds: Annotated[int, Parameter(group=TRIED, validator=Number(gte=1, lte=100))] = 3
    "How many times each variant is trained, with seeds from --seed on; the winner has --seed itself."

    propose: Annotated[bool, Parameter(group=TRIED, negative="--no-propose")] = True
    "Train the winner on all training images and hold it against the gate; only then are test images looked at."

    runner: Annotated[Literal["processes", "dask"], Parameter(group=HOW)] = "processes"
    "Who trains: processes of this machine, or the workers of a Dask cluster, which share DIGITFLOW_HOME or _STORE."

    processes: Annotated[int | None, Parameter(group=HOW)] = None
    "Trials at once on this machine. Default: its cores; with JAX, which uses all of them for each, one."

    address: Annotated[str, Parameter(group=HOW)] = ""
    "Of Dask's scheduler, such as tcp://127.0.0.1:8786."

    def parameters(self, request: Request, settings: Settings) -> dict[str, Any]:
        """The parameters of the flow `experiments`. Raises UsageError for what it would refuse."""
        base = request.parameters()
        plan = Plan.of(**base, settings=settings)
        if base["seed"] >= 2**31:
            raise UsageError(f"the seeds of an experiment start below {2**31}, not at {base['seed']}")
        declared = read(self.from_, plan.hyperparameters) if self.from_ else None
        if self.search is None and declared and declared.space:
            raise UsageError(f"{self.from_} has a space, which only a search looks through; add --search, such as 30")
        if ((self.search or self.from_) and self.variants) or (self.search and declared and not declared.space):
            raise UsageError("give one of --variants, --from with a grid or a list, and --search")
        if unknown := set(self.variants) - EXTENSIONS.keys():
            raise UsageError(f"unknown variant {min(unknown)!r}; choose from: {', '.join(map(repr, EXTENSIONS))}")
        changes = declared.variants() if declared else {n: EXTENSIONS[n] for n in self.variants or EXTENSIONS}
        space = declared.space if declared and declared.space else SPACE
        try:
            search = (
                Search(trials=self.search, study=self.study, round=self.round, space=space) if self.search else None
            )
            where = Where(runner=self.runner, processes=self.processes, address=self.address)
        except ValidationError as error:
            raise UsageError(explain(error)) from None
        return base | {
            "variants": {name: Overrides.model_validate(change) for name, change in changes.items()},
            "search": search,
            "seeds": self.seeds,
            "propose": self.propose,
            "where": where,
        }
