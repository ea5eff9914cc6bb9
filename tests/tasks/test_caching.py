"""A step is a plain object until a flow runs it."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from artifacts.lineage.cache_key import StepCall
from artifacts.lineage.manifest import Run
from artifacts.storage.store import Store
from tasks.caching import Step, replaced_by, resume_folder, step
from tasks.data.datasets import Splits
from tasks.data.normalise import normalise_and_reshape
from tasks.data.one_hot import one_hot_encode

WITHOUT_PREFECT = """
import sys
import flows.preview
assert not {"prefect", "keras", "tensorflow", "mlflow"} & set(sys.modules), sorted(sys.modules)
"""


class Sum(BaseModel, frozen=True):
    value: int
    folder: str = ""


@step("add")
def add(a: int, b: int = 1, *, store: Store | None = None) -> Sum:
    """Add two numbers, and say where the step could resume."""
    folder = resume_folder()
    if folder is not None:
        folder.mkdir(parents=True)
    return Sum(value=a + b, folder=str(folder or ""))


@step("count", cached=False)
def count(value: list[int]) -> int:
    """Count the calls."""
    value.append(len(value))
    return len(value)


def test_steps_need_no_prefect() -> None:
    """A preview imports every step, and neither Prefect nor what computes."""
    subprocess.run([sys.executable, "-c", WITHOUT_PREFECT], check=True)


def test_fn_is_the_function() -> None:
    """`fn` calls the function itself, and outside a run there is no folder to resume from."""
    assert add.fn(1, 2) == Sum(value=3) and add.name == "add" and add.__doc__


def test_stand_in_answers_for_a_step(store: Store) -> None:
    """A stand-in gets the step and all its arguments, defaults included, and its answer is the result."""
    calls: list[tuple[str, dict[str, Any]]] = []

    def stand_in(called: Step[Any, Any], arguments: dict[str, Any]) -> str:
        calls.append((called.name, arguments))
        return "answer"

    with replaced_by(stand_in):
        assert add(1, store=store) == "answer"  # type: ignore[comparison-overlap]
    assert calls == [("add", {"a": 1, "b": 1, "store": store})]


def test_wrong_arguments_are_refused() -> None:
    """A step called with arguments that its function does not take raises TypeError before anything runs."""
    with pytest.raises(TypeError):
        add(1, c=2)  # type: ignore[call-arg]


def test_results_are_typed() -> None:
    """A step turns the JSON values of a cache entry or a manifest into its result type."""
    assert add.typed({"value": 3}) == Sum(value=3)


RUN = {"dataset": "d", "recipe": "tutorial", "seed": 0, "hyperparameters": {}, "gate": {}}


@pytest.mark.prefect
def test_second_call_is_cached(api: str, home: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second run of a step takes the result from the cache; both are noted, and the folder to resume is gone."""
    call = StepCall(task="add", inputs={}, code={"tests:add": "0"}, libraries={})  # the tests have no fingerprint
    monkeypatch.setattr(Step, "describe", lambda *_: call)
    results, cached = [], []
    for name in ("first", "second"):
        with Run.recording(store, run=name, **RUN) as run:
            results.append(add(1, 2, store=store))
        cached += [record.cached for record in run.manifest.steps]
    assert cached == [False, True] and results[0] == results[1]
    assert results[0] == Sum(value=3, folder=str(home / "checkpoints" / call.key))
    assert not (home / "checkpoints" / call.key).exists()


@pytest.mark.prefect
def test_uncached_steps_run_each_time(api: str, store: Store) -> None:
    """A step that is not cached runs each time and is not noted."""
    calls: list[int] = []
    with Run.recording(store, run="run", **RUN) as run:
        assert [count(calls), count(calls)] == [1, 2]
    assert run.manifest.steps == []


@pytest.mark.prefect
def test_cache_entries_name_no_class(api: str, home: Path, store: Store, digits: Any) -> None:
    """A cache entry holds plain JSON values, so that classes may move without a step being computed again."""
    data = Splits.of(*(store.put(array[:100]) for array in digits))
    with Run.recording(store, run="run", **RUN):
        normalise_and_reshape(data, store)
        one_hot_encode(data, store)
    entries = list((home / "records").iterdir())
    assert len(entries) == 2 and not any(b"__class__" in path.read_bytes() for path in entries)
