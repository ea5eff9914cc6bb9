"""Options become the parameters of a flow, or are refused before it starts."""

from pathlib import Path

import pytest

from artifacts.errors import UsageError
from artifacts.storage.settings import Settings
from flows.cli.app import app
from flows.cli.options import ExperimentOptions, TrainingOptions
from tasks.experiments.variants import EXTENSIONS


@pytest.mark.parametrize(
    ("words", "given"),
    [
        ("", {}),
        ("--dense none", {"dense": ()}),
        ("--dense 64 32 --class-weight none", {"dense": (64, 32), "class_weight": "none"}),
        ("--filters 8 --filters 16 --padding same", {"filters": (8, 16), "padding": ("same",)}),
        ("--no-batch-norm --separable --dropout 0.5", {"batch_norm": False, "separable": True, "dropout": 0.5}),
    ],
)
def test_hyperparameters(words: str, given: dict[str, object]) -> None:
    """The flow gets the hyperparameters that are typed, and no other."""
    _, bound, _ = app.parse_args(["train", *words.split()], exit_on_error=False, print_error=False)
    options = bound.arguments.get("options") or TrainingOptions()
    assert options.parameters()["hyperparameters"].model_dump(exclude_unset=True) == given


def test_gate_file(tmp_path: Path) -> None:
    """A gate comes from a file; --min-accuracy replaces its own."""
    path = tmp_path / "gate.json"
    path.write_text('{"min_accuracy": 0.9, "max_weights_bytes": 1000}')
    gate = TrainingOptions(gate=path, min_accuracy=0.5).parameters()["gate"]
    assert (gate.min_accuracy, gate.max_weights_bytes) == (0.5, 1000)
    assert TrainingOptions(gate=path).parameters()["gate"].min_accuracy == 0.9


@pytest.mark.parametrize(
    ("content", "reason"), [(None, "cannot be read: No such file"), ("{", "is unusable"), ('{"x": 1}', "x: is unknown")]
)
def test_bad_gate_file(content: str | None, reason: str, tmp_path: Path) -> None:
    """A gate file that is missing, no JSON or no gate is refused by its path with the reason."""
    path = tmp_path / "gate.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UsageError, match=f"the gate {path}.*{reason}"):
        TrainingOptions(gate=path).parameters()


def test_experiment_parameters() -> None:
    """Without options, an experiment tries all extensions of the tutorial; with --variants, the named ones."""
    settings, training = Settings.load(), TrainingOptions(dataset="mnist-sample")
    assert ExperimentOptions().parameters(training, settings)["variants"].keys() == EXTENSIONS.keys()
    chosen = ExperimentOptions(variants=("dropout",)).parameters(training, settings)
    assert chosen["variants"].keys() == {"dropout"} and chosen["search"] is None


@pytest.mark.parametrize(
    ("options", "seed", "reason"),
    [
        (ExperimentOptions(), 2**31, "the seeds of an experiment start below"),
        (ExperimentOptions(variants=("none",)), 0, "unknown variant 'none'.*'dropout'"),
        (ExperimentOptions(search=3, variants=("relu",)), 0, "give one of"),
        (ExperimentOptions(runner="dask"), 0, "needs the address of a scheduler"),
        (ExperimentOptions(processes=0), 0, "processes: should be "),
    ],
)
def test_refused_experiments(options: ExperimentOptions, seed: int, reason: str) -> None:
    """An experiment that the flow would refuse is refused with the reason."""
    with pytest.raises(UsageError, match=reason):
        options.parameters(TrainingOptions(dataset="mnist-sample", seed=seed), Settings.load())
