"""The server and the worker that `make up` and `make deploy` start, as tests use, watch and kill them."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from prefect.automations import Automation
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import DeploymentUpdate
from prefect.client.schemas.objects import FlowRun, State
from prefect.deployments import run_deployment

from artifacts.lineage.manifest import Manifest, manifests
from artifacts.storage.store import Store
from deployments.stack import Stack
from tests.command import ROOT, Finished, digitflow, environment, eventually, processes_with

POSTGRES = pytest.param("postgres", marks=pytest.mark.postgres)
_ALSO = [POSTGRES] if "DIGITFLOW_TEST_ALL" in os.environ else []
on_sqlite = pytest.mark.parametrize("live", ["sqlite", *_ALSO], indirect=True)
"""For slow tests: on PostgreSQL too only if DIGITFLOW_TEST_ALL is set."""


@dataclass
class Live:
    """A home, the variables of the processes that work in it, and the notifications that a webhook received."""

    home: Path
    variables: dict[str, str | None]
    received: list[dict[str, Any]] = field(default_factory=list)

    def run(self, *command: str) -> Finished:
        """Run a command from the repository root to its end."""
        return subprocess.run(
            command, cwd=ROOT, env=environment(**self.variables), capture_output=True, text=True, timeout=300
        )

    def prefect(self, *arguments: str) -> Finished:
        return self.run(sys.executable, "-m", "prefect", *arguments)

    def digitflow(self, *arguments: object, **variables: str | None) -> Finished:
        return digitflow(*arguments, **self.variables | variables)

    def kill(self, program: str) -> None:
        """Kill -9 the server or the worker; the supervisor starts it again."""
        os.kill(int(self.supervise("pid", program)), signal.SIGKILL)

    def supervise(self, *arguments: str) -> str:
        """What the supervisor answers to a command."""
        folder = Stack(self.home, port=0).run_folder
        command = ("supervisorctl", "--configuration", "deployments/supervisord.conf", *arguments)
        return self.run("env", f"DIGITFLOW_RUN={folder}", *command).stdout

    def kill_run(self, run: FlowRun) -> None:
        """Kill -9 every process of a run."""
        for pid in processes_with(f"PREFECT__FLOW_RUN_ID={run.id}"):
            os.kill(pid, signal.SIGKILL)

    def await_training(self, seed: int) -> None:
        """Return when a run with this seed is training."""
        assert eventually(
            lambda: [m for m in self.manifests(seed) if m.steps and m.steps[-1].name == "one-hot-encode"]
        ), self.log("worker")

    def trained(self, seed: int) -> int:
        """How many times a network was trained to its end, instead of taken from the cache."""
        return sum(step.name == "train" and not step.cached for m in self.manifests(seed) for step in m.steps)

    def manifests(self, seed: int) -> list[Manifest]:
        return [manifest for manifest in manifests(Store(self.home)) if manifest.seed == seed]

    def notifications(self, event: str) -> list[dict[str, Any]]:
        return [message for message in self.received if message["event"] == event]

    def log(self, program: str) -> str:
        """The end of a program's log, for the message of a failed test."""
        return self.whole_log(program)[-3000:]

    def whole_log(self, program: str) -> str:
        return (self.home / "logs" / f"{program}.log").read_text()


def start_run(deployment: str, seed: int, *, epochs: int = 3, **parameters: Any) -> FlowRun:
    """Start a run of a deployment on the sample and return at once."""
    parameters |= {"dataset": "mnist-sample", "seed": seed, "hyperparameters": {"epochs": epochs}}
    return run_deployment(deployment, parameters=parameters, timeout=0)


def runs_of(deployment: str) -> list[FlowRun]:
    """The runs of a deployment, the latest first."""
    with get_client(sync_client=True) as client:
        wanted = client.read_deployment_by_name(deployment).id
        runs = [run for run in client.read_flow_runs() if run.deployment_id == wanted]
    return sorted(runs, key=lambda run: str(run.created), reverse=True)


def set_parameters(deployment: str, **parameters: Any) -> None:
    """Set the parameters of the runs that a schedule or a trigger starts."""
    with get_client(sync_client=True) as client:
        client.update_deployment(client.read_deployment_by_name(deployment).id, DeploymentUpdate(parameters=parameters))


def state_of(run: FlowRun) -> State:
    with get_client(sync_client=True) as client:
        state = client.read_flow_run(run.id).state
    assert state is not None
    return state


def ending_of(run: FlowRun) -> str:
    """The name of the state in which a run ends or waits for a person."""
    eventually(lambda: state_of(run).is_final() or state_of(run).is_paused())
    return str(state_of(run).name)


@contextlib.contextmanager
def impatient(automation: Automation) -> Iterator[None]:
    """Create an automation with a shorter timeout beside the deployed one."""
    automation.name = "impatient"
    automation.create()
    try:
        yield
    finally:
        automation.delete()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
