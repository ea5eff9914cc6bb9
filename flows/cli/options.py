"""What can be asked for on the command line: the options of training runs and of experiments."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Group, Parameter
from cyclopts.validators import Number
from pydantic import ValidationError

from artifacts.errors import UsageError, describe_validation_error
from artifacts.storage.settings import Settings
from flows.plan import Plan, Where
from tasks.evaluation.gate import Gate
from tasks.experiments.search import Search
from tasks.experiments.variants import EXTENSIONS, SPACE, read
from tasks.model.hyperparameters import Overrides
from tasks.model.recipes import Recipe

WHAT = Group("What to train", sort_key=0)
GATE = Group("Gate", sort_key=1)
HOW = Group("How to run", sort_key=2)
HYPERPARAMETERS = Group("Hyperparameters (default: the recipe's own)", sort_key=3)

Flag = Parameter(group=HOW, negative="", show_default=False)


@Parameter(name="*")
@dataclass(frozen=True)
class TrainingOptions:
    """Options of a training run."""

    dataset: Annotated[str, Parameter(group=WHAT)] = "mnist"
    "mnist, fashion-mnist, mnist-sample (5,000 images, no download), or a folder with the four IDX files."

    recipe: Annotated[Recipe, Parameter(group=WHAT)] = "tutorial"
    'Named set of hyperparameters; "tutorial-verbatim" has the tutorial\'s own learning rate and batch size.'

    seed: Annotated[int, Parameter(group=WHAT, validator=Number(gte=0, lt=2**32))] = 0
    "Decides initial weights, order and dropout."

    min_accuracy: Annotated[float | None, Parameter(group=GATE, validator=Number(gte=0, lte=1))] = None
    """Least accuracy on the test images. Default: 0.974 for the tutorial on MNIST; else the recipe's own,
    or, for your own data, the share of the most frequent class."""

    gate: Annotated[Path | None, Parameter(group=GATE)] = None
    "JSON file with further limits: see the fields of Gate in artifacts/gate.py."

    hyperparameters: Annotated[
        Overrides | None, Parameter(name="*", group=HYPERPARAMETERS, consume_multiple=True, negative="")
    ] = None

    def parameters(self) -> dict[str, Any]:
        """The parameters of the flow `training`."""
        return {
            "dataset": self.dataset,
            "recipe": self.recipe,
            "seed": self.seed,
            "hyperparameters": self.hyperparameters or Overrides(),
            "gate": self._gate(),
        }

    def _gate(self) -> Gate:
        try:
            gate = Gate.model_validate_json(self.gate.read_bytes()) if self.gate else Gate()
        except OSError as error:
            raise UsageError(f"the gate {self.gate} cannot be read: {error.strerror}") from None
        except ValidationError as error:
            raise UsageError(f"the gate {self.gate} is unusable: {describe_validation_error(error)}") from None
        return gate if self.min_accuracy is None else gate.model_copy(update={"min_accuracy": self.min_accuracy})


TRIED = Group("What to try", sort_key=0)


@Parameter(name="*")
@dataclass(frozen=True)
class ExperimentOptions:
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

    def parameters(self, request: TrainingOptions, settings: Settings) -> dict[str, Any]:
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
            raise UsageError(describe_validation_error(error)) from None
        return base | {
            "variants": {name: Overrides.model_validate(change) for name, change in changes.items()},
            "search": search,
            "seeds": self.seeds,
            "propose": self.propose,
            "where": where,
        }
