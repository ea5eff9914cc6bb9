"""A command that is interrupted or killed leaves no process and no scratch file."""

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.command import Finished, assert_refused, digitflow, eventually, interrupt, processes_of, started
from tests.conftest import Arrays, write_idx
from tests.flows.cli.conftest import assert_whole

pytestmark = [
    pytest.mark.prefect,
    pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="finds processes in /proc"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, digits: Arrays) -> Path:
    """A folder with `data`, the digits, and `home`, where both trainings work."""
    folder = tmp_path_factory.mktemp("killed")
    write_idx(folder / "data", digits)
    return folder


@pytest.fixture
def training(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A command in the middle of a training that would take hours, with a server of its own."""
    home = folder / "home"
    before = set(home.glob("runs/*/manifest.json"))
    arguments = ("train", "--dataset", str(folder / "data"), "--epochs", "1000", "--batch-size", "1")
    with started(*arguments, DIGITFLOW_HOME=str(home), PREFECT_API_URL=None) as process:
        assert eventually(lambda: _steps_done(set(home.glob("runs/*/manifest.json")) - before) == 4, 120)
        yield process


def _steps_done(manifests: set[Path]) -> int:
    return sum(len(json.loads(path.read_bytes())["steps"]) for path in manifests)


def test_interrupt(training: subprocess.Popen[str], folder: Path) -> None:
    """Ctrl-C ends a training with 130 and one line; no process and no scratch file is left."""
    time.sleep(3)  # into the fit
    assert_refused(interrupt(training), 130, "interrupted")
    assert eventually(lambda: not processes_of(folder / "home"), 15)
    assert_whole(folder / "home")


def test_interrupt_while_starting(digits_folder: Path, home: Path) -> None:
    """Ctrl-C while the server starts ends the command with 130 and one line, and ends the server."""
    with started("train", "--dataset", str(digits_folder), PREFECT_API_URL=None) as process:
        assert eventually(lambda: len(processes_of(home)) > 1, 60)
        assert_refused(interrupt(process), 130, "interrupted")
    assert eventually(lambda: not processes_of(home), 15)


def test_kill(training: subprocess.Popen[str], folder: Path) -> None:
    """After kill -9 of the command, its server and the process of its smoke test end within 15 s."""
    assert len(processes_of(folder / "home")) > 1
    training.kill()
    training.communicate()
    assert eventually(lambda: not processes_of(folder / "home"), 15)


def test_the_server_is_killed(digits_folder: Path, home: Path) -> None:
    """If the server of a command is killed, one line says so; the same command again resumes."""
    train = ("train", "--dataset", str(digits_folder), "--epochs", "30", "--until", "evaluate")
    with started(*train, PREFECT_API_URL=None) as process:
        assert eventually(lambda: _steps_done(set(home.glob("runs/*/manifest.json"))) > 0, 120)
        [server] = [pid for pid in processes_of(home) if b"prefect_server" in Path(f"/proc/{pid}/cmdline").read_bytes()]
        os.kill(server, signal.SIGKILL)
        out, err = process.communicate(timeout=60)
        assert_refused(Finished(train, process.returncode, out, err), 1, "server of this command ended with status -9")
    assert digitflow(*train, PREFECT_API_URL=None).returncode == 0


@pytest.mark.parametrize("names", [("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "all_proxy"), ("ALL_PROXY",)])
def test_own_server_is_reached_without_a_proxy(names: tuple[str, ...], digits_folder: Path, home: Path) -> None:
    """A proxy of the environment, even one that does not answer, is not asked for what is on this machine.

    The server learns how the run went, and gets no heartbeats, for whose thread the end would wait.
    """
    proxies = {name: f"{'socks5' if name == 'ALL_PROXY' else 'http'}://127.0.0.1:9" for name in names}
    run = digitflow("train", "--dataset", digits_folder, "--until", "validate", PREFECT_API_URL=None, **proxies)
    assert run.returncode == 0, run.stderr
    assert eventually(lambda: "prefect.flow-run.Stopped" in _events(home), 15)  # the server ends after the command
    assert "prefect.flow-run.heartbeat" not in _events(home)


def _events(home: Path) -> set[str]:
    with contextlib.closing(sqlite3.connect(home / "prefect" / "prefect.db")) as database:
        return {event for (event,) in database.execute("SELECT event FROM events")}
