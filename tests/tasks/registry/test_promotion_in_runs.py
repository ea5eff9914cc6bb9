"""Only a proven model becomes champion, whatever is killed, lost or raced; a rejected one only by hand."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from prefect import State, runtime
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.exceptions import Abort
from prefect.states import AwaitingRetry, Completed, Crashed, Running

from artifacts.errors import DigitflowError
from artifacts.storage.settings import Settings
from artifacts.storage.store import Store
from flows.plan import Plan
from flows.steps import Results, train_and_judge
from flows.training import training
from tasks.evaluation.gate import Gate
from tasks.model.hyperparameters import Overrides
from tasks.registry.registry import Registry
from tests.command import COMMAND, Finished, assert_refused, digitflow
from tests.conftest import Arrays, write_idx
from tests.tasks.registry.conftest import break_record

pytestmark = pytest.mark.prefect

GATE = Gate(min_accuracy=0.3, margin=0.3)
Call = Callable[..., Finished]


@pytest.fixture(scope="module")
def template(api: str, smoke_test_here: None, digits: Arrays, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home after one run whose model is champion, version 1."""
    folder = tmp_path_factory.mktemp("template")
    write_idx(folder / "digits", digits)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DIGITFLOW_HOME", str(folder / "home"))
        outcome = training(str(folder / "digits"), hyperparameters=Overrides(epochs=2), gate=GATE)
    assert outcome.promoted and outcome.version == 1 and outcome.gate.baseline.absence == "no champion yet"
    return folder


@pytest.fixture
def world(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(template, tmp_path / "world")
    monkeypatch.setenv("DIGITFLOW_HOME", str(tmp_path / "world" / "home"))
    return tmp_path / "world"


def request(folder: Path, seed: int, gate: Gate = GATE) -> list[str]:
    (folder / "gate.json").write_text(gate.model_dump_json())
    options = {"--dataset": folder / "digits", "--epochs": 2, "--seed": seed, "--gate": folder / "gate.json"}
    return ["train", "--json", *(str(part) for option in options.items() for part in option)]


@pytest.fixture
def train(call: Call, world: Path) -> Call:
    """Run `digitflow train` in the world, with this seed and perhaps another gate."""
    return lambda seed, gate=GATE: call(*request(world, seed, gate))


def test_run_that_was_declared_dead(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that was stopped until the server set it to Crashed promotes nothing when it goes on."""

    def judged_late(plan: Plan, settings: Settings) -> Results:
        results = train_and_judge(plan, settings)
        with get_client(sync_client=True) as client:
            client.set_flow_run_state(runtime.flow_run.id, Crashed(), force=True)
        return results

    monkeypatch.setattr("flows.training.train_and_judge", judged_late)
    with pytest.raises(DigitflowError, match="set this run to Crashed meanwhile, so version 2 was not promoted"):
        training(str(world / "digits"), hyperparameters=Overrides(epochs=2), gate=GATE, seed=5)
    assert champion(world) == 1


@pytest.mark.parametrize(
    ("since", "fails"),
    [((AwaitingRetry,), True), ((AwaitingRetry, Running), False), ((AwaitingRetry, Running, Completed), True)],
)
def test_run_that_another_machine_has(
    world: Path, monkeypatch: pytest.MonkeyPatch, since: tuple[Callable[[], State], ...], fails: bool
) -> None:
    """A run that was declared dead and retried is another process's: the first promotes nothing, and leaves its state
    as it is, whether it comes to its end or fails, and whether the other waits, works or has ended."""
    runs: list[Any] = []

    def judged_late(plan: Plan, settings: Settings) -> Results:
        results = train_and_judge(plan, settings)
        runs.append(runtime.flow_run.id)
        with get_client(sync_client=True) as client:
            for state in (Crashed, *since):
                client.set_flow_run_state(runs[0], state(), force=True)
        if fails:
            raise DigitflowError("the shared store cannot be used")
        return results

    monkeypatch.setattr("flows.training.train_and_judge", judged_late)
    monkeypatch.setenv("PREFECT__RUNTIME__DEPLOYMENT__ID", "a deployment's")
    with pytest.raises(Abort, match="has started this run again"):
        training(str(world / "digits"), hyperparameters=Overrides(epochs=2), gate=GATE, seed=5)
    with get_client(sync_client=True) as client:
        state = client.read_flow_run(runs[0]).state
    assert state is not None and state.name == since[-1]().name and champion(world) == 1


def test_run_whose_server_does_not_answer(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that cannot ask the server whether it may promote promotes nothing, and reports nothing."""

    def unanswered(*_: object) -> None:
        raise httpx.ConnectError("All connection attempts failed")

    def judged_late(plan: Plan, settings: Settings) -> Results:
        results = train_and_judge(plan, settings)
        monkeypatch.setattr(SyncPrefectClient, "read_flow_run", unanswered)
        return results

    monkeypatch.setattr("flows.training.train_and_judge", judged_late)
    monkeypatch.setenv("PREFECT__RUNTIME__DEPLOYMENT__ID", "a deployment's")
    with pytest.raises(Abort, match="does not answer"):
        training(str(world / "digits"), hyperparameters=Overrides(epochs=2), gate=GATE, seed=5)
    assert champion(world) == 1


def champion(folder: Path) -> int:
    version = Registry(folder / "home").champion("digits")
    assert version is not None
    assert Store(folder / "home").holds(version.weights)
    return version.version


def test_another_run(world: Path, train: Call) -> None:
    """A candidate is held against the champion on the same images and replaces it if it passes; a second run of the
    same decides nothing, and a run of a former champion does not bring it back."""
    first = json.loads(train(1).stdout)
    assert first["promoted"] and champion(world) == first["version"] == 2
    assert any("version 1" in check["name"] for check in first["gate"]["checks"])
    again = train(1)
    second = json.loads(again.stdout)
    assert not second["promoted"] and second["version"] == 2
    assert [task["name"] for task in second["tasks"] if not task["cached"]] == []
    back = json.loads(train(0).stdout)
    assert not back["promoted"] and back["version"] == 1 and champion(world) == 2


def test_rejected(world: Path, train: Call, call: Call) -> None:
    """A rejected run exits 3 and keeps its report; its model is registered, and promoted only with --force and a
    reason, which the history shows; a rollback returns to the champion before."""
    done = train(1, Gate(min_accuracy=1.0))
    outcome = json.loads(done.stdout)
    assert (
        done.returncode == 3 and outcome["version"] == 2 and Path(outcome["report"]).is_file() and champion(world) == 1
    )
    refused = call("models", "promote", "2", "--reason", "trust me")
    assert refused.returncode == 3 and "add --force" in refused.stderr and champion(world) == 1
    assert call("models", "promote", "2").returncode == 2
    assert call("models", "promote", "2", "--force", "--reason", "trust me").returncode == 0 and champion(world) == 2
    assert call("models", "rollback", "--reason", "it was wrong").returncode == 0 and champion(world) == 1
    changes = json.loads(call("models", "history", "--json").stdout)
    assert [(c["version"], c["kind"], c["reason"]) for c in changes[1:]] == [
        (2, "forced", "trust me"),
        (1, "rollback", "it was wrong"),
    ]
    moment = changes[1]["at"]
    assert [c["version"] for c in json.loads(call("models", "history", "--at", moment, "--json").stdout)] == [2]
    listed = json.loads(call("models", "--json").stdout)
    assert [(m["version"], m["aliases"], m["dataset"]) for m in listed] == [
        (2, [], "digits"),
        (1, ["champion"], "digits"),
    ]
    assert {"accuracy", "created"} <= listed[0].keys()


KILLED = """
import os, signal, sys
from tasks.registry.registry import Registry
Registry.{0} = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
from flows.cli.app import main
main()
"""


@pytest.mark.parametrize("before", ["register", "promote"])
def test_killed_before_promotion(before: str, world: Path, train: Call) -> None:
    """kill -9 between saving and promoting leaves the old champion; the next run computes no step again, and
    promotes."""
    killed = subprocess.run(
        [sys.executable, "-c", KILLED.format(before), *request(world, 1)], capture_output=True, check=False
    )
    assert killed.returncode == -signal.SIGKILL and champion(world) == 1
    outcome = json.loads(train(1).stdout)
    assert outcome["promoted"] and champion(world) == 2
    assert [task["name"] for task in outcome["tasks"] if not task["cached"]] == []


def test_two_runs_race(world: Path, call: Call) -> None:
    """Of two runs that replace the same champion at once, the later one is held against the earlier one's model."""
    commands = [request(world, seed) for seed in (1, 2)]
    running = [
        subprocess.Popen([*COMMAND, *command], stdout=subprocess.PIPE, text=True, env=os.environ)
        for command in commands
    ]
    outcomes = [json.loads(process.communicate()[0]) for process in running]
    assert all(outcome["promoted"] for outcome in outcomes)
    first, second = json.loads(call("models", "history", "--json").stdout)[1:]
    assert [(c["replaced"], c["took_effect"]) for c in (first, second)] == [(1, True), (first["version"], True)]
    assert champion(world) == second["version"]
    later = next(outcome for outcome in outcomes if outcome["version"] == second["version"])
    assert later["gate"]["opponent"]["version"] == first["version"]


@pytest.mark.parametrize("also_in_mlflow", [False, True])
def test_champion_whose_files_are_gone(also_in_mlflow: bool, world: Path, train: Call) -> None:
    """Lost weights of the champion come back from MLflow's copy; if that is gone too, no model replaces it unless the
    gate asks for no comparison."""
    registry, store = Registry(world / "home"), Store(world / "home")
    lost = registry.champion("digits")
    assert lost is not None
    store.path(lost.weights).unlink()
    if also_in_mlflow:
        shutil.rmtree(world / "home" / "mlflow" / "artifacts")
        refused = train(1)
        assert refused.returncode == 1 and '"against_champion": "nothing"' in refused.stderr
        assert registry.champion_number("digits") == 1
    gate = GATE.model_copy(update={"against_champion": "nothing"}) if also_in_mlflow else GATE
    outcome = json.loads(train(1, gate).stdout)
    assert outcome["promoted"] and champion(world) == 2
    assert outcome["gate"]["opponent"]["version"] == 1 and store.holds(lost.weights) != also_in_mlflow


@pytest.mark.parametrize("lose", [Path.unlink, lambda path: path.write_bytes(b"")], ids=["removed", "emptied"])
def test_lost_registry(lose: Callable[[Path], object], world: Path) -> None:
    """A registry without the versions that runs registered ends a run, changed or not, in one error: what a model would
    replace is unknown. With a gate that asks for no comparison, it goes on."""
    lose(world / "home" / "mlflow" / "mlflow.db")  # new processes see it: in this one, MLflow has the database open
    experiment = ["experiment", "--dataset", str(world / "digits"), "--variants", "relu"]
    for arguments in (request(world, 0), request(world, 1), experiment):
        assert_refused(digitflow(*arguments), 1, "lost version 1 of digits", str(world / "home" / "mlflow"))
    gate = GATE.model_copy(update={"against_champion": "nothing"})
    assert json.loads(digitflow(*request(world, 1, gate)).stdout)["promoted"]
    assert json.loads(digitflow(*request(world, 2)).stdout)["gate"]["opponent"]["version"] == 1


def test_registry_of_an_older_backup(world: Path) -> None:
    """A registry that was set back to an older state lacks what passed since, and ends a run too."""
    database = world / "home" / "mlflow" / "mlflow.db"
    older = database.read_bytes()
    assert json.loads(digitflow(*request(world, 1)).stdout)["version"] == 2
    database.write_bytes(older)
    assert_refused(digitflow(*request(world, 2)), 1, "lost version 2 of digits")


def test_unreadable_champion(world: Path, train: Call) -> None:
    """A champion whose record is unreadable ends a run in one clear error before anything is trained."""
    registry, runs = Registry(world / "home"), world / "home" / "runs"
    break_record(registry, 1)
    before = len(list(runs.iterdir()))
    run = train(1)
    assert run.returncode == 1 and "version 1, whose record is unreadable" in run.stderr
    assert run.stderr.count("\n") == 1 and len(list(runs.iterdir())) == before
    registry.tracking.client.delete_registered_model_alias("digitflow-digits", "champion")
    assert json.loads(train(1).stdout)["promoted"]
