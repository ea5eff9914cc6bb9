"""Experiments compare on training images alone, train what is new and nothing else, wherever it is trained."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from flows.experiments import Experiment, experiments
from flows.plan import Execution
from tasks.evaluation.gate import Gate
from tasks.experiments.search import Search
from tasks.experiments.variants import Between
from tasks.model.hyperparameters import Overrides
from tasks.registry.mlflow_client import Tracking
from tasks.registry.registry import Registry
from tests.command import ROOT, assert_refused, digitflow, environment, eventually, processes_of, started
from tests.conftest import Arrays, write_idx

if TYPE_CHECKING:
    from distributed import Client

pytestmark = pytest.mark.prefect

TWO = {"plain": Overrides(), "dense": Overrides(dense=(16,))}
TOO_LARGE = {"too large": Overrides(kernel_size=(9,))}


def run(folder: Path, **changes: object) -> Experiment:
    request = {
        "dataset": str(folder),
        "hyperparameters": Overrides(epochs=1, batch_size=32),
        "variants": TWO,
        "seeds": 2,
        "propose": False,
        "gate": Gate(min_accuracy=0.1),
        "where": Execution(processes=1),
    }
    found: Experiment = experiments(**request | changes)
    return found


def trials_in(home: Path) -> int:
    """Trials in the cache."""
    return sum(b"failure" in path.read_bytes() for path in (home / "records").glob("*"))


def scores(experiment: Experiment) -> dict[str, tuple[float, float]]:
    return {row["name"]: (row["accuracy"], row["loss"]) for row in experiment.variants}


def test_what_is_trained(api: str, smoke_test_here: None, home: Path, tmp_path: Path, digits: Arrays) -> None:
    """One variant more is trained once a seed, and nothing else is, whatever the test images are; the winner, trained
    on all training images, is judged on them, and its accuracy there is the only one; results do not depend on the
    number of processes."""
    train_x, train_y, test_x, test_y = digits
    folder = write_idx(tmp_path / "digits", digits)
    first = run(folder, where=Execution(processes=2))
    assert (first.computed, first.cached) == (4, 0)
    added = run(folder, variants=TWO | TOO_LARGE, propose=True)
    assert (added.computed, added.cached) == (2, 4)
    assert added.variants[-1]["failure"].startswith("images of 8×8 are too small")
    assert scores(added) | {"too large": (0, 0)} == scores(first) | {"too large": (0, 0)}

    outcome = added.outcome
    assert outcome and outcome.gate.passed and first.outcome is None
    champion = Registry(home).champion(outcome.dataset)
    assert champion and champion.version == outcome.version and champion.hyperparameters == added.hyperparameters
    assert added.winner == max(scores(first), key=lambda name: scores(first)[name])
    assert "test" not in json.dumps(added.variants)

    others = write_idx(tmp_path / "others", (train_x, train_y, test_x[::-1][:99], test_y[::-1][:99]))
    unseen = run(others)
    assert (unseen.computed, scores(unseen)) == (0, scores(first))

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DIGITFLOW_HOME", str(tmp_path / "elsewhere"))
        alone = run(folder)
    assert (alone.computed, scores(alone)) == (4, scores(first))


def test_published(api: str, home: Path, tmp_path: Path, digits: Arrays) -> None:
    """A comparison is a page, a Prefect artifact, and in MLflow a run with one for each variant; once."""
    from prefect.client.orchestration import get_client

    folder = write_idx(tmp_path / "digits", digits)
    found = [run(folder, seeds=1, variants={"plain": Overrides()}) for _ in range(2)]
    trials = [re.findall(r"<dt>Trials</dt><dd>([^<]+)</dd>", Path(each.report).read_text()) for each in found]
    assert trials == [[f"{each.computed} computed, {each.cached} from the cache"] for each in found]
    with get_client(sync_client=True) as client:
        assert found[0].markdown in [artifact.data for artifact in client.read_artifacts()]
    runs = Tracking(home).client.search_runs([Tracking(home).experiment])
    child = next(run for run in runs if run.info.run_name == "plain")
    assert len(runs) == 2 and child.data.tags["mlflow.parentRunId"] in {run.info.run_id for run in runs}
    assert child.data.metrics["validation_accuracy_mean"] == found[0].variants[0]["accuracy"]


def test_search(api: str, tmp_path: Path, digits: Arrays) -> None:
    """A search's trials are tried once; more of them add to it; the best and the recipe itself get every seed."""
    folder = write_idx(tmp_path / "digits", digits)
    space = {"learning_rate": Between(low=0.001, high=0.05, log=True)}
    first = run(folder, search=Search(trials=2, round=2, space=space))
    assert first.computed == 2 + 2 * (2 + 1)
    more = run(folder, search=Search(trials=3, round=2, space=space))
    assert more.computed <= 1 + 2 and {row["name"] for row in first.variants} <= {row["name"] for row in more.variants}
    assert [row["seeds"] for row in more.variants] == [2] * 4


def test_killed_command(api: str, tmp_path: Path, home: Path, digits: Arrays) -> None:
    """A command that is killed leaves no process behind, and run again goes on from there."""
    folder = write_idx(tmp_path / "digits", digits)
    options = ["experiment", "--dataset", str(folder), "--epochs", "3", "--seeds", "2", "--no-propose", "--json"]
    options += ["--variants", "as is", "dropout", "relu"]
    with started(*options) as process:
        assert eventually(lambda: trials_in(home), 300)
        process.send_signal(signal.SIGKILL)
    done = trials_in(home)
    assert eventually(lambda: not processes_of(home), 30)
    again = json.loads(digitflow(*options).stdout)
    assert again["cached"] >= done and again["cached"] + again["computed"] == 6


def test_no_cluster(api: str, tmp_path: Path, digits: Arrays) -> None:
    """If no scheduler answers, one line says so."""
    folder = write_idx(tmp_path / "digits", digits)
    options = ["--dataset", folder, "--runner", "dask", "--address", "tcp://127.0.0.1:9"]
    assert_refused(digitflow("experiment", *options), 1, "no Dask scheduler answers at tcp://127.0.0.1:9")


@contextlib.contextmanager
def dask(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "distributed.cli.dask_" + arguments[0], *arguments[1:], "--no-dashboard"],
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def kill_at_work(worker: subprocess.Popen[bytes], address: str, client: "Client", home: Path) -> None:
    """Kill a worker in the middle of a trial, when one is finished."""
    if eventually(lambda: trials_in(home) and client.processing().get(address), 300):
        worker.kill()


def test_cluster(api: str, home: Path, tmp_path: Path, digits: Arrays) -> None:
    """Of a cluster's two workers one is killed in the middle: the experiment ends complete, with what one machine
    finds."""
    from distributed import Client

    folder = write_idx(tmp_path / "digits", digits)
    epochs = Overrides(epochs=8, batch_size=16)
    scheduler = tmp_path / "scheduler.json"
    with contextlib.ExitStack() as stack:
        stack.enter_context(dask("scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(scheduler)))
        assert eventually(scheduler.exists, 60)
        address = json.loads(scheduler.read_text())["address"]
        worker = ("worker", address, "--no-nanny", "--nthreads", "1", "--local-directory", str(tmp_path))
        victim, _ = (stack.enter_context(dask(*worker)) for _ in range(2))
        client = stack.enter_context(Client(address, timeout=60))
        client.wait_for_workers(2, timeout=120)
        address_of = {pid: address for address, pid in client.run(os.getpid).items()}
        victims = (victim, address_of[victim.pid], client, home)
        threading.Thread(target=kill_at_work, args=victims, daemon=True).start()
        there = run(folder, hyperparameters=epochs, seeds=3, where=Execution(runner="dask", address=address))
        assert victim.poll() == -signal.SIGKILL and len(client.processing()) == 1
    assert there.cached + there.computed == 6 and not any(row["failure"] for row in there.variants)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DIGITFLOW_HOME", str(tmp_path / "elsewhere"))
        assert scores(run(folder, hyperparameters=epochs, seeds=3)) == scores(there)
