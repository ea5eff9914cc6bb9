"""One machine's stack: a Prefect server on loopback and a worker, under a supervisor, for one home.

    make up    make deploy    make down

DIGITFLOW_HOME names the home, PORT the server's port. Each home knows its own server: a server of another home, or any
other program that has the port, is told and left alone. Paths reach the programs as working folders and environment
variables, never in the syntax of a configuration or a URL, so any name of a home works.
"""

import contextlib
import hashlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from artifacts.errors import DigitflowError, UsageError, hide_passwords
from artifacts.storage.settings import Settings
from flows.cli.output import print_note
from flows.cli.servers import LOOPBACK, await_server, bypass_proxies, owner_of_port, port_file, url_of_home

FOLDER = Path(__file__).parent
DEFAULT_PORT = 4200
STOPPED = ("STOPPED", "EXITED", "FATAL")
"""The states, as the supervisor names them, of a program that it does not start again by itself."""
SQLITE = "sqlite+aiosqlite:///prefect.db"
"""In the server's working folder."""


class Stack:
    """The server and the worker of a home."""

    def __init__(self, home: Path, port: int):
        self.home, self.port = home, port
        self.url = f"http://127.0.0.1:{port}/api"
        name = hashlib.sha256(os.fsencode(home)).hexdigest()[:16]
        # not below the home, since a socket's path must be short
        self.run_folder = Path(tempfile.gettempdir(), f"digitflow-{os.getuid()}-{name}")

    def up(self) -> str:
        """Start what does not run yet, and wait until it answers; returns what to tell. Raises DigitflowError."""
        if self._is_running():
            running = Stack(self.home, self._running_port())
            elsewhere = f", not on port {self.port}: make down stops it" if running.port != self.port else ""
            if started := running.start_stopped():
                return f"started what had stopped: {', '.join(started)}; the server runs on {running.page}{elsewhere}"
            return f"the server already runs on {running.page}{elsewhere}; next: {running.make('deploy')}"
        self._require_same_url()
        self._require_free_port()
        for folder in (self.home / "logs", self.home / "server"):
            folder.mkdir(parents=True, exist_ok=True)
        self.run_folder.mkdir(mode=0o700, exist_ok=True)
        if self.run_folder.stat().st_uid != os.getuid():
            raise DigitflowError(f"{self.run_folder} belongs to another user; remove it, or set TMPDIR")
        self._port_file.write_text(str(self.port))
        print_note("starting Prefect's server and a worker, which takes some ten seconds")
        self._call("supervisord")
        await_server(self.url)
        return f"the server runs on {self.page}, and a worker beside it; next: {self.make('deploy')}"

    def start_stopped(self) -> list[str]:
        """Start the programs that do not run although their supervisor does; returns their names. Raises
        DigitflowError.
        """
        listed = self._run("supervisorctl", "status", capture_output=True, text=True).stdout
        states = dict(line.split()[:2] for line in listed.splitlines() if len(line.split()) > 1)
        stopped = [program for program, state in states.items() if state in STOPPED]
        if stopped:
            self._call("supervisorctl", "start", *stopped)
        return stopped

    def down(self) -> str:
        """Stop the worker first, so that its runs can still report to the server. Raises DigitflowError."""
        if not self._is_running():
            return f"nothing runs for {self.home}"
        self._call("supervisorctl", "stop", "worker", "server")
        self._call("supervisorctl", "shutdown")
        deadline = time.monotonic() + 10
        while self.run_folder.exists() and time.monotonic() < deadline:  # else `make up` at once would find it running
            with contextlib.suppress(OSError):  # the supervisor still has its socket there
                self.run_folder.rmdir()
            time.sleep(0.1)
        return f"the server and the worker of {self.home} have stopped"

    def require_own(self, named: str) -> None:
        """Raises UsageError if the server that was named is on loopback, and this home has another one, or the port
        has another's.
        """
        own = url_of_home(self.home)
        if own and not _is_same(own, named) and urlsplit(named).hostname in LOOPBACK:
            raise UsageError(
                f"this home's server is {own}, not {hide_passwords(named)}, so nothing was deployed; with "
                f"PREFECT_API_URL unset: {Stack(self.home, self._running_port()).make('deploy')}"
            )
        if _is_same(self.url, named) and (owner := owner_of_port(self.port, self.home)):
            raise UsageError(
                f"port {self.port} has {owner}, so nothing was deployed; start this home's server on another port: "
                f"make up PORT={self.port + 1}"
            )

    def make(self, verb: str) -> str:
        """The command that does so on this port."""
        return f"make {verb}" if self.port == DEFAULT_PORT else f"make {verb} PORT={self.port}"

    @property
    def _port_file(self) -> Path:
        return port_file(self.home)

    def _running_port(self) -> int:
        """The port of the server that runs."""
        with contextlib.suppress(OSError, ValueError):
            return int(self._port_file.read_text())
        return self.port

    @property
    def page(self) -> str:
        """The address of Prefect's page."""
        return self.url.removesuffix("/api")

    def _require_same_url(self) -> None:
        """Raises UsageError if PREFECT_API_URL names another server: what is typed next would go there."""
        named = os.environ.get("PREFECT_API_URL") or self.url
        if not _is_same(self.url, named):
            port = _loopback_port(named)
            way = f", or start it where that points: make up PORT={port}" * (port not in (None, self.port))
            raise UsageError(
                f"PREFECT_API_URL is {hide_passwords(named)}, but this home's server would be {self.url}; unset "
                f"PREFECT_API_URL{way}"
            )

    def _require_free_port(self) -> None:
        try:
            socket.create_server(("127.0.0.1", self.port)).close()
        except OSError as error:
            owner = owner_of_port(self.port, self.home) or error.strerror
            raise DigitflowError(
                f"port {self.port} cannot be used: it has {owner}; choose another: make up PORT={self.port + 1}"
            ) from None

    def _is_running(self) -> bool:
        with socket.socket(socket.AF_UNIX) as client, contextlib.suppress(OSError):
            client.connect(str(self.run_folder / "supervisor.sock"))
            return True
        return False

    def _call(self, program: str, *arguments: str) -> None:
        """Run a program of the supervisor. Raises DigitflowError if it fails."""
        done = self._run(program, *arguments, stdout=subprocess.DEVNULL)  # one line in the end says what was done
        if done.returncode:
            raise DigitflowError(f"{program} ended with {done.returncode}; see {self.home}/logs/supervisord.log")

    def _run(self, program: str, *arguments: str, **options: Any) -> "subprocess.CompletedProcess[Any]":
        """Run a program of the supervisor in the folder of the logs."""
        environment = os.environ | {
            "DIGITFLOW_HOME": str(self.home),
            "DIGITFLOW_RUN": str(self.run_folder),
            "PORT": str(self.port),
            "PREFECT_API_URL": self.url,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        }
        environment.setdefault("PREFECT_API_DATABASE_CONNECTION_URL", SQLITE)
        command = [sys.executable, "-m", f"supervisor.{program}", "--configuration", str(FOLDER / "supervisord.conf")]
        logs = self.home / "logs"
        return subprocess.run([*command, *arguments], cwd=logs, env=environment, check=False, **options)  # noqa: S603


def _is_same(url: str, other: str) -> bool:
    """Whether two URLs name the same server; localhost is 127.0.0.1."""
    one, two = (each.rstrip("/").replace("//localhost:", "//127.0.0.1:") for each in (url, other))
    return one == two


def _loopback_port(url: str) -> int | None:
    """The port of this machine that a URL names, if it names one."""
    try:
        split = urlsplit(url)
        return split.port if split.hostname in LOOPBACK else None
    except ValueError:
        return None


def port() -> int:
    """The port of the server. Raises UsageError."""
    name = os.environ.get("PORT") or str(DEFAULT_PORT)
    if not name.isdecimal() or not 0 < int(name) < 2**16:
        raise UsageError(f"PORT is {name!r}, not a number from 1 to 65535")
    return int(name)


def main(verb: str) -> int:
    """Do what `make` asks. Prints one line."""
    bypass_proxies()
    try:
        stack = Stack(Settings.load().home, port())
        print(stack.up() if verb == "up" else stack.down())  # noqa: T201
    except DigitflowError as error:
        print_note(str(error))
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
