"""The options of the command line that training runs and experiments share, and their groups in the help."""

from dataclasses import asdict, dataclass, field, make_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_type_hints

from cyclopts import Group, Parameter
from cyclopts.validators import Number
from pydantic import ValidationError

from artifacts.errors import UsageError, describe_validation_error, suggest
from flows.cli.switch import EXECUTION_GROUP
from tasks.model.hyperparameters import Overrides
from tasks.model.recipes import Recipe

if TYPE_CHECKING:
    from artifacts.storage.settings import Settings
    from tasks.evaluation.gate import Gate
    from tasks.experiments.search import Search
    from tasks.experiments.variants import ExperimentFile, Space

MODEL_GROUP = Group("What to train", sort_key=0)
TRIALS_GROUP = Group("What to try", sort_key=0)
GATE_GROUP = Group("Gate", sort_key=1)
HYPERPARAMETER_GROUP = Group("Hyperparameters (default: the recipe's own)", sort_key=3)


# Overrides itself would do, but for its help cyclopts would parse the source of pydantic: an eighth of the time
HyperparameterOptions = make_dataclass(
    "HyperparameterOptions",
    [
        (name, kind, field(default=None, metadata={"help": Overrides.model_fields[name].description}))
        for name, kind in get_type_hints(Overrides).items()
        if name in Overrides.model_fields
    ],
    namespace={"__module__": __name__},
    frozen=True,
)


@Parameter(name="*")
@dataclass(frozen=True)
class TrainingOptions:
    """Options of a training run."""

    dataset: Annotated[str, Parameter(group=MODEL_GROUP)] = "mnist"
    """mnist, fashion-mnist, mnist-sample (5,000 images, no download), or the path or URL of your own data: IDX files, a
    folder a class, pictures with a labels.csv, .npz or .csv; see `digitflow data check`."""

    dataset_name: Annotated[str, Parameter(group=MODEL_GROUP, show_default=False)] = ""
    "What your own data and their models are called. Default: the name of the folder or file."

    recipe: Annotated[Recipe, Parameter(group=MODEL_GROUP)] = "tutorial"
    'Named set of hyperparameters; "tutorial-verbatim" has the tutorial\'s own learning rate and batch size.'

    seed: Annotated[int, Parameter(group=MODEL_GROUP, validator=Number(gte=0, lt=2**32))] = 0
    "Decides the initial weights, the order of the images and dropout."

    refresh: Annotated[
        tuple[str, ...], Parameter(group=MODEL_GROUP, consume_multiple=1, negative="", show_default=False)
    ] = ()
    "Steps to compute although nothing changed, such as train; the output says whether their results are as before."

    min_accuracy: Annotated[float | None, Parameter(group=GATE_GROUP, validator=Number(gte=0, lte=1))] = None
    """Lowest accuracy on the test images that passes. Default: 0.974 for the tutorial on MNIST; otherwise the recipe's
    own, or, for your own data, the share of the most frequent class."""

    gate: Annotated[Path | None, Parameter(group=GATE_GROUP)] = None
    "JSON file with further limits; its fields are those of Gate in tasks/evaluation/gate.py."

    hyperparameters: Annotated[
        HyperparameterOptions | None,  # type: ignore[valid-type]  # it is made above
        Parameter(name="*", group=HYPERPARAMETER_GROUP, consume_multiple=1, negative_iterable=""),
    ] = None

    def parameters(self) -> dict[str, Any]:
        """The parameters of the flow `training`."""
        return {
            "dataset": self.dataset,
            "dataset_name": self.dataset_name,
            "recipe": self.recipe,
            "seed": self.seed,
            "hyperparameters": self._hyperparameters(),
            "gate": self._gate(),
            "refresh": self.refresh,
        }

    def _hyperparameters(self) -> Overrides:
        given: dict[str, Any] = asdict(self.hyperparameters) if self.hyperparameters else {}
        try:
            return Overrides.model_validate({name: value for name, value in given.items() if value is not None})
        except ValidationError as error:
            words = describe_validation_error(error, lambda place: f"--{place[0]}".replace("_", "-"))
            raise UsageError(f"{words}; see --help") from None

    def _gate(self) -> "Gate":
        from tasks.evaluation.gate import Gate

        try:
            gate = Gate.model_validate_json(self.gate.read_bytes()) if self.gate else Gate()
        except OSError as error:
            raise UsageError(f"the gate {self.gate} cannot be read: {error.strerror}") from None
        except ValidationError as error:
            raise UsageError(f"the gate {self.gate} is unusable: {describe_validation_error(error)}") from None
        return gate if self.min_accuracy is None else gate.model_copy(update={"min_accuracy": self.min_accuracy})


@Parameter(name="*")
@dataclass(frozen=True)
class ExperimentOptions:
    """Options of an experiment, besides those of the training of its winner."""

    variants: Annotated[
        tuple[str, ...], Parameter(group=TRIALS_GROUP, consume_multiple=1, negative="", show_default=False)
    ] = ()
    "The extensions of the tutorial to compare. Default: all of them."

    from_: Annotated[Path | None, Parameter(name="from", group=TRIALS_GROUP)] = None
    "YAML or TOML file with a grid, a list or, for a search, a space of hyperparameters; see docs/experiments.md."

    search: Annotated[int | None, Parameter(group=TRIALS_GROUP, validator=Number(gte=1))] = None
    """Number of trials that Optuna proposes; the best three are then trained with all seeds. The same command again
    resumes the search, and a higher number extends it."""

    study: Annotated[str, Parameter(group=TRIALS_GROUP, show_default=False)] = ""
    "Name under which the search is stored. Default: data set and recipe."

    round: Annotated[int, Parameter(group=TRIALS_GROUP, validator=Number(gte=1))] = 4
    "Number of trials that the search proposes at once, from the results of the rounds before."

    seeds: Annotated[int, Parameter(group=TRIALS_GROUP, validator=Number(gte=1, lte=100))] = 3
    "How often each variant is trained, with the seeds from --seed on; the winner is trained with --seed itself."

    propose: Annotated[bool, Parameter(group=TRIALS_GROUP, negative="--no-propose")] = True
    "Train the winner on all training images and judge it by the gate. Only this step reads the test images."

    runner: Annotated[Literal["processes", "dask"], Parameter(group=EXECUTION_GROUP)] = "processes"
    "What trains: processes of this machine, or workers of a Dask cluster, which share DIGITFLOW_HOME or _STORE."

    processes: Annotated[int | None, Parameter(group=EXECUTION_GROUP, validator=Number(gte=1, lte=1024))] = None
    "Number of trials at once on this machine. Default: its cores; 1 with JAX, which uses all cores for each trial."

    address: Annotated[str, Parameter(group=EXECUTION_GROUP, show_default=False)] = ""
    "Address of Dask's scheduler, such as tcp://127.0.0.1:8786."

    def parameters(self, training: TrainingOptions, settings: "Settings") -> dict[str, Any]:
        """The parameters of the flow `experiments`. Raises UsageError for values that the flow would refuse."""
        from flows.plan import TRIAL_STEPS, Execution, Plan
        from tasks.experiments.variants import EXTENSIONS, SPACE, read_variants

        base = training.parameters()
        plan = Plan.of(**base, settings=settings, other_steps=TRIAL_STEPS)
        if base["seed"] >= 2**31:
            raise UsageError(f"the seeds of an experiment start below {2**31}, not at {base['seed']}")
        declared = read_variants(self.from_, plan.hyperparameters) if self.from_ else None
        self._check_combination(declared)
        changes = declared.variants() if declared else {n: EXTENSIONS[n] for n in self.variants or EXTENSIONS}
        space = declared.space if declared and declared.space else SPACE
        try:
            search = self._search(space)
            where = Execution(runner=self.runner, processes=self.processes, address=self.address)
        except ValidationError as error:
            raise UsageError(describe_validation_error(error)) from None
        return base | {
            "variants": {name: Overrides.model_validate(change) for name, change in changes.items()},
            "search": search,
            "seeds": self.seeds,
            "propose": self.propose,
            "where": where,
        }

    def _search(self, space: "Space") -> "Search | None":
        if self.search is None:
            return None
        from tasks.experiments.search import Search

        return Search(trials=self.search, study=self.study, round=self.round, space=space)

    def _check_combination(self, declared: "ExperimentFile | None") -> None:
        """Raise UsageError for options that exclude each other, and for unknown variants."""
        from tasks.experiments.variants import EXTENSIONS

        if self.search is None and declared and declared.space:
            raise UsageError(f"{self.from_} has a space, which only a search looks through; add --search, such as 30")
        if ((self.search or self.from_) and self.variants) or (self.search and declared and not declared.space):
            raise UsageError("give one of --variants, --from with a grid or a list, and --search")
        if unknown := set(self.variants) - EXTENSIONS.keys():
            raise UsageError(f"unknown variant {min(unknown)!r}; {suggest(min(unknown), EXTENSIONS)}")
