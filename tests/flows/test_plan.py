"""A plan has every default filled in, or is refused."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

import flows.steps
from artifacts.errors import UsageError
from artifacts.storage.settings import Settings
from flows.plan import OF_BATCHES, STEPS, TRIAL_STEPS, Execution, Plan
from tasks.caching import Step
from tasks.evaluation.gate import Gate
from tasks.experiments.compare import compare
from tasks.experiments.hold_out import hold_out
from tasks.experiments.trial import trial
from tasks.model.hyperparameters import Overrides
from tests.conftest import Arrays, write_idx


def plan(dataset: str, **changes: Any) -> Plan:
    options: dict[str, Any] = {"hyperparameters": Overrides(), "gate": Gate(), "settings": Settings.load()} | changes
    return Plan.of(dataset, "tutorial", 0, **options)


def test_defaults_come_from_recipe_and_data_set(home: Path) -> None:
    """A known data set has ten classes and the recipe's expected accuracy; what is asked for replaces the recipe's."""
    asked = plan("mnist", hyperparameters=Overrides(epochs=5))
    assert asked.classes == 10 and asked.gate.min_accuracy == 0.974
    assert (asked.hyperparameters.epochs, asked.hyperparameters.batch_size) == (5, 256)
    assert plan("mnist", gate=Gate(min_accuracy=0.5)).gate.min_accuracy == 0.5


def test_steps_that_can_be_named() -> None:
    """The names of the steps are those of the steps that the flows run."""
    names = {item.name for item in vars(flows.steps).values() if isinstance(item, Step)}
    assert names == {"download", "read", *STEPS}
    assert (hold_out.name, trial.name, compare.name) == TRIAL_STEPS


@pytest.mark.parametrize("name", OF_BATCHES)
def test_steps_of_batches(name: str, home: Path) -> None:
    """Steps for accepted batches can be named only where a run can have some."""
    for request in ({"until": name}, {"refresh": (name,)}):
        with pytest.raises(UsageError, match=f"this run has no step {name!r}"):
            plan("mnist", **request)
        assert plan("mnist", can_have_batches=True, **request)


def test_a_folder_is_a_data_set_by_its_content(home: Path, tmp_path: Path, digits: Arrays) -> None:
    """A folder's data set has its name and the digests of its content, gzipped or not; it promises no classes."""
    packed, plain = (write_idx(tmp_path / place / "mine", digits, packed=place == "a") for place in ("a", "b"))
    assert plan(str(packed)).source == plan(str(plain)).source
    assert plan(str(packed)).source.name == "mine" and plan(str(packed)).classes is None


def test_a_folder_named_like_a_known_data_set_is_told_apart(home: Path, tmp_path: Path, digits: Arrays) -> None:
    """A folder called mnist never passes for MNIST."""
    assert plan(str(write_idx(tmp_path / "mnist", digits))).source.name == "mnist (folder)"


def test_unknown_data_sets_are_refused(home: Path, tmp_path: Path) -> None:
    """A name that is neither a data set nor a folder, a folder without the files, and names that no server could be
    told are refused.
    """
    with pytest.raises(UsageError, match="unknown data set 'mnits'; did you mean 'mnist'"):
        plan("mnits")
    with pytest.raises(UsageError, match="holds no data set"):
        plan(str(tmp_path))
    (tmp_path / "caf\udce9").mkdir()
    for dataset, changes in ((str(tmp_path / "caf\udce9"), {}), (str(tmp_path), {"dataset_name": "caf\udce9"})):
        with pytest.raises(UsageError, match="has bytes that are no UTF-8; rename it"):
            plan(dataset, **changes)


@pytest.mark.parametrize("execution", [{"runner": "dask"}, {"address": "tcp://127.0.0.1:8786"}])
def test_dask_and_an_address_belong_together(execution: dict[str, Any]) -> None:
    """Dask needs the address of a scheduler, and no other runner has one."""
    with pytest.raises(ValidationError, match="address of a scheduler"):
        Execution(**execution)
