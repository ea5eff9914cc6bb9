"""A peer's project in a folder of its own: it is made, run, watched, damaged and put back."""

import contextlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from tests.benchmarks.peers import ours
from tests.benchmarks.peers.peers import OPT_OUT, PYTHON_HERE, Peer
from tests.command import processes_with

HERE = Path(__file__).parent
PROJECTS = HERE / "projects"
Event = dict[str, Any]
PATIENCE = 200
"""Seconds after which a command counts as hanging."""


class Finished(NamedTuple):
    """How a command ended, its wall seconds, its output, and what the steps did meanwhile."""

    status: int
    seconds: float
    output: str
    events: list[Event]

    def count(self, event: str) -> int:
        return sum(e["event"] == event for e in self.events)

    def first(self, event: str) -> Event:
        return next((e for e in self.events if e["event"] == event), {})


class Project:
    """The project of one peer. Its place stays the same, since some peers keep absolute paths."""

    def __init__(self, name: str, peer: Peer, folder: Path, data: Path, programs: Path):
        self.name, self.peer, self._data, self._programs = name, peer, data, programs
        self.place = folder / name / "project"
        self._snapshot, self._journal = folder / name / "snapshot", folder / name / "journal"
        self._output = folder / name / "output"

    def make(self) -> None:
        """An empty project, in which nothing has run."""
        shutil.rmtree(self.place, ignore_errors=True)
        self._journal.unlink(missing_ok=True)
        self.place.mkdir(parents=True)
        for overlay in self.peer.overlays:
            shutil.copytree(PROJECTS / overlay, self.place, dirs_exist_ok=True)
        shutil.copytree(HERE / "work", self.place / "work", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copytree(self._data, self.place / "data")
        (self.place / "user").mkdir()
        self.install_helperlib("1.0")
        if not self.peer.environment:
            ours.copy_code(self.place / "code")
        if self.peer.prepare and self.run(self.peer.prepare).status:
            raise SystemExit(f"{self.name}: {self.peer.prepare} failed")

    def install_helperlib(self, version: str) -> None:
        """Install the library of one function, as a package in `lib`, and name its version in requirements.txt."""
        library = self.place / "lib"
        shutil.rmtree(library, ignore_errors=True)
        info = library / f"helperlib-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: helperlib\nVersion: {version}\n")
        result = "targets" if version == "1.0" else "targets * 0.9 + 0.01"
        (library / "helperlib.py").write_text(f"def smooth(targets):\n    return {result}\n")
        (self.place / "requirements.txt").write_text(f"helperlib=={version}\n")

    def keep(self) -> None:
        """Remember the project as it is."""
        shutil.rmtree(self._snapshot, ignore_errors=True)
        subprocess.run(["cp", "-a", self.place, self._snapshot], check=True)

    def put_back(self) -> None:
        """Make the project what `keep` remembered, with the times of its files."""
        shutil.rmtree(self.place)
        subprocess.run(["cp", "-a", self._snapshot, self.place], check=True)

    def pixels(self) -> Path:
        """The file that keeps the normalised training images."""
        files = [path for path in self.place.glob(self.peer.pixels) if path.is_file() and not path.is_symlink()]
        return max(files, key=lambda path: path.stat().st_size)

    def events(self) -> list[Event]:
        """What the steps did so far."""
        if not self.peer.environment:
            return ours.events(self.place / "home")
        return [json.loads(line) for line in self._journal.read_text().splitlines()] if self._journal.exists() else []

    def output(self) -> str:
        """What the last command printed."""
        return self._output.read_text(errors="replace")

    def start(self, command: str, **variables: str) -> subprocess.Popen[bytes]:
        """Start a command in a process group of its own."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("DIGITFLOW_", "PREFECT_", "PYTHON", "PEERS_"))}
        code = [self.place / "code"] if not self.peer.environment else []
        path = os.pathsep.join(map(str, [*code, self.place, self.place / "lib"]))
        own = {name: value.format(project=self.place) for name, value in self.peer.variables.items()}
        environment = (
            kept
            | OPT_OUT
            | own
            | variables
            | {
                "PATH": f"{self._programs}{os.pathsep}{os.environ['PATH']}",
                "HOME": str(self.place / "user"),
                "PYTHONPATH": path,
                "PEERS_JOURNAL": str(self._journal),
            }
        )
        with self._output.open("wb") as output:
            return subprocess.Popen(
                shlex.split(command),
                cwd=self.place,
                env=environment,
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    def run(self, command: str, **variables: str) -> Finished:
        """Run a command to its end."""
        before, started = len(self.events()), time.perf_counter()
        process = self.start(command, **variables)
        try:
            status = process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            status = -1
        seconds = time.perf_counter() - started
        self._let_end()
        self.end_all(process)
        return Finished(status, seconds, self.output(), self.events()[before:])

    def run_and_kill(self, command: str, when: Callable[[], bool], **variables: str) -> Finished:
        """Run a command and kill -9 all its processes as soon as `when` holds."""
        before, started = len(self.events()), time.perf_counter()
        process = self.start(command, **variables)
        while process.poll() is None and not when() and time.perf_counter() < started + PATIENCE:
            time.sleep(0.02)
        was_running = process.poll() is None
        self.end_all(process)
        output = self.output()
        return Finished(-9 if was_running else 0, time.perf_counter() - started, output, self.events()[before:])

    def end_all(self, process: subprocess.Popen[bytes]) -> None:
        """kill -9 what the command started and left running, and wait for it."""
        while pids := self._processes():  # one may have started another meanwhile
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)
        process.wait()

    def _let_end(self) -> None:
        """Wait some seconds for servers that end by themselves."""
        deadline = time.monotonic() + 5
        while self._processes() and time.monotonic() < deadline:
            time.sleep(0.05)

    def _processes(self) -> list[int]:
        return processes_with(f"PEERS_JOURNAL={self._journal}")


def programs_of(peer: Peer, environment: Callable[[str, tuple[str, ...]], Path]) -> Path:
    """The folder of the programs of a peer's environment."""
    return environment(peer.environment, peer.requirements) if peer.environment else PYTHON_HERE
