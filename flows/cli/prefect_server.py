"""Prefect's own server, started for one command and gone with it, however that ends.

Prefect's ephemeral mode would do, but it loses most of a run's history and leaves an orphan after kill -9.
Run as a module, this file is the server process: it serves the socket whose number it is given,
and stops when its standard input ends, that is, when its parent is gone.
"""

import contextlib
import os
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock

from artifacts.errors import DigitflowError
from artifacts.storage.store import disk_errors

STARTUP = 180
"""Seconds that a first start may take: it creates the database."""

_SETTINGS_FILES = (".env", "prefect.toml", "~/.prefect/profiles.toml")


class Server:
    """A server process on a loopback socket that accepts connections before the process is up."""

    def __init__(self, home: Path):
        self._home = home
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/api"
        self._process: subprocess.Popen[bytes] | None = None
        self._starting = FileLock(home / "starting.lock")

    def start(self) -> None:
        with disk_errors(self._home):
            self._home.mkdir(parents=True, exist_ok=True)
            self._starting.acquire()  # two servers that create one database would collide
            log = (self._home / "server.log").open("ab")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "flows.cli.prefect_server", str(self._socket.fileno())],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=log,
            pass_fds=[self._socket.fileno()],
            cwd=self._home,  # so that no character of its path needs quoting in the database's URL
            start_new_session=True,  # Ctrl-C is for the parent, which then still reports to the server
            env=os.environ
            | {
                "PREFECT_HOME": str(self._home),
                "PREFECT_API_DATABASE_CONNECTION_URL": "sqlite+aiosqlite:///prefect.db",
                "PREFECT_UI_ENABLED": "0",
                "PREFECT_SERVER_ANALYTICS_ENABLED": "0",
            }
            | {"PYTHONPATH": os.pathsep.join(filter(None, map(os.path.abspath, sys.path)))},
        )
        self._socket.close()  # the server has it now; if that dies, connections are refused at once

    def wait(self) -> None:
        """Return when the server answers. Raises DigitflowError if it does not."""
        import httpx

        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(f"{self.url}/health", timeout=STARTUP).is_success:
                self._starting.release()
                return
        log = self._home / "server.log"
        last = (log.read_text(errors="replace").strip() or "nothing").splitlines()[-1]
        raise DigitflowError(f"Prefect's server did not start: its log, {log}, ends with: {last}")

    def stop(self) -> None:
        """Let the server finish what it was told, then end it."""
        if self._process and self._process.stdin:
            self._process.stdin.close()
            try:
                self._process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._starting.release()


@contextlib.contextmanager
def embedded(home: Path) -> Iterator[Server]:
    """A server whose database is in `home`; Prefect, not imported before, will talk to it."""
    server = Server(home)
    server.start()
    os.environ |= {"PREFECT_API_URL": server.url, "PREFECT_HOME": str(home)}
    try:
        yield server
    finally:
        server.stop()


def is_configured() -> bool:
    """Whether the user has named a Prefect server, by environment, profile or settings file."""
    if os.environ.get("PREFECT_API_URL"):
        return True
    if not any(Path(name).expanduser().exists() for name in _SETTINGS_FILES):
        return False
    from prefect.settings import PREFECT_API_URL

    return bool(PREFECT_API_URL.value())


def flush() -> None:
    """Send what Prefect still holds back of this process's events and logs, if it was used at all."""
    if "prefect.events.worker" in sys.modules:
        from prefect.events.worker import EventsWorker
        from prefect.logging.handlers import APILogWorker

        EventsWorker.drain_all(timeout=5)
        APILogWorker.drain_all(timeout=5)


def await_configured() -> None:
    """Return if the server that the user named answers and lets us in. Raises DigitflowError."""
    import httpx
    from prefect.client.orchestration import get_client
    from prefect.exceptions import PrefectHTTPStatusError
    from prefect.settings import PREFECT_API_URL

    url = PREFECT_API_URL.value()
    try:
        httpx.get(f"{url}/health", timeout=10)
        with get_client(sync_client=True) as client:
            client.read_flows(limit=1)
    except PrefectHTTPStatusError as error:
        raise DigitflowError(
            f"Prefect's server {url} refuses us: {error.response.status_code}; set PREFECT_API_AUTH_STRING"
        ) from None
    except httpx.HTTPError as error:
        raise DigitflowError(
            f"Prefect's server {url} does not answer ({error}); start it, or unset PREFECT_API_URL to do without"
        ) from None


def await_start(url: str) -> None:
    """Return when a server that was just started answers. Raises DigitflowError after STARTUP seconds."""
    import httpx

    deadline = time.monotonic() + STARTUP
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(f"{url}/health", timeout=5).is_success:
                return
        time.sleep(0.5)
    raise DigitflowError(f"Prefect's server {url} did not start; see logs/server.log in DIGITFLOW_HOME")


def _set_aside_if_damaged(database: Path) -> None:
    """Let a new database be made in place of a damaged one: it holds only the history that Prefect shows."""
    try:
        with contextlib.closing(sqlite3.connect(database)) as connection:
            if connection.execute("PRAGMA quick_check(1)").fetchone() == ("ok",):
                return
    except sqlite3.DatabaseError as error:
        if "locked" in str(error):
            return
    for path in database.parent.glob(f"{database.name}*"):
        path.rename(path.with_name(f"damaged-{time.time_ns()}-{path.name}"))
    print(f"{database} was damaged, and is set aside", file=sys.stderr)  # noqa: T201  # to the log


def _serve(descriptor: int) -> None:
    import uvicorn

    _set_aside_if_damaged(Path("prefect.db"))

    config = uvicorn.Config(
        "prefect.server.api.server:create_app", factory=True, fd=descriptor, log_level="warning", lifespan="on"
    )
    server = uvicorn.Server(config)
    threading.Thread(target=_stop_with_parent, args=(server,), daemon=True).start()
    server.run()


def _stop_with_parent(server: "uvicorn.Server") -> None:  # type: ignore[name-defined]  # noqa: F821
    os.read(sys.stdin.fileno(), 1)
    if not server.started:  # nobody has told it anything yet, and its database is made in one transaction
        os._exit(1)
    server.should_exit = True
    threading.Event().wait(8)
    os._exit(1)


if __name__ == "__main__":
    _serve(int(sys.argv[1]))
