"""The Prefect server that the command line starts for one command.

Prefect's ephemeral mode is not used: it loses most of a run's history and leaves an orphan process after kill -9.
Run as a module, this file is the server process: it serves the socket whose descriptor is its argument, and stops when
its standard input ends, that is, when its parent process has ended, even by kill -9. Nobody waits for its end.
"""

import contextlib
import gc
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from artifacts.errors import DigitflowError
from artifacts.storage.database_template import DatabaseTemplate, is_damaged
from artifacts.storage.home import STARTING_LOCK, disk_errors, locked
from flows.cli.output import print_note
from flows.cli.servers import STARTUP

LAST_WORDS = 8
"""Seconds after which a server that should end is killed, whatever it still does."""

PREFECT_TEMPLATE = DatabaseTemplate("prefect", "prefect", "server/database/_migrations/versions/sqlite")


class Server:
    """A server process on a loopback socket, with Prefect's page if `has_page`.

    The socket accepts connections before the process is ready. By default, any free port has it.
    """

    def __init__(self, home: Path, listener: socket.socket | None = None, *, has_page: bool = False):
        self._home, self._has_page = home, has_page
        self._socket = listener or socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/api"
        self._process: subprocess.Popen[bytes] | None = None
        self._starting = contextlib.ExitStack()
        self._is_ready = self._is_released = False

    def start(self) -> None:
        with disk_errors(self._home):
            self._starting.enter_context(locked(self._home, STARTING_LOCK))  # two would both create the database
            log = (self._home / "server.log").open("ab")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "flows.cli.prefect_server", str(self._socket.fileno())],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=log,
            pass_fds=[self._socket.fileno()],
            cwd=self._home,  # so that no character of its path needs quoting in the database's URL
            start_new_session=True,  # Ctrl-C reaches only the parent, which then still reports to the server
            env=os.environ
            | {
                "PREFECT_HOME": str(self._home),
                "PREFECT_API_DATABASE_CONNECTION_URL": "sqlite+aiosqlite:///prefect.db",
                "PREFECT_UI_ENABLED": str(int(self._has_page)),
                "PREFECT_UI_API_URL": self.url,
                "PREFECT_API_BLOCKS_REGISTER_ON_START": "0",  # no run needs blocks, and registering them takes seconds
                "PREFECT_SERVER_ANALYTICS_ENABLED": "0",
            }
            | {"PYTHONPATH": os.pathsep.join(filter(None, map(os.path.abspath, sys.path)))},
        )
        self._socket.close()  # only the server holds it now: if the server dies, connections are refused at once

    def wait(self) -> None:
        """Return when the server answers. Raises DigitflowError if it ends before, or after STARTUP seconds."""
        import httpx

        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(f"{self.url}/health", timeout=STARTUP, trust_env=False).is_success:
                self._starting.close()
                self._is_ready = True
                return
        log = self._home / "server.log"
        last = (log.read_text(errors="replace").strip() or "nothing").splitlines()[-1]
        raise DigitflowError(f"Prefect's server did not start: its log, {log}, ends with: {last}")

    def watch(self) -> None:
        """From now on, end this process as kill -9 would if the server ends: no step could be recorded any more."""
        threading.Thread(target=self._end_with_it, daemon=True).start()

    def _end_with_it(self) -> None:
        status = self._process.wait() if self._process else 0
        if not self._is_released:
            why = f"Prefect's server of this command ended with status {status}; its log is {self._home}/server.log"
            sys.stderr.write("\x1b[?25h" * sys.stderr.isatty())  # show the cursor, which the progress bars hide
            print_note(f"{why}; run the same command again to resume")
            sys.stderr.flush()
            os._exit(DigitflowError.exit_code)

    def join(self) -> None:
        """Wait until the server has ended."""
        if self._process:
            self._process.wait()

    def stop(self) -> None:
        """End the server after it has handled its open requests, and wait for its end."""
        self.release()
        if self._process:
            self._process.wait()

    def release(self) -> None:
        """Let the server end by itself, within LAST_WORDS seconds, once it has handled its open requests.

        A server that does not answer yet is waited for: its database may be half made, and another may start.
        """
        self._is_released = True
        if self._process and self._process.stdin:
            self._process.stdin.close()
            if not self._is_ready:
                self._process.wait()
        self._starting.close()


@contextlib.contextmanager
def temporary_server(home: Path) -> Iterator[Server]:
    """Start a server whose database is in `home`, and make it the one that Prefect, imported later, talks to."""
    server = Server(home)
    server.start()
    os.environ |= {"PREFECT_API_URL": server.url, "PREFECT_HOME": str(home)}
    try:
        yield server
    finally:
        server.release()


def _prepare(database: Path) -> None:
    """Copy the template to a new home, and set aside a database that is damaged, a copied one too."""
    PREFECT_TEMPLATE.copy_to(database)
    if not database.exists():
        return
    if not os.access(database, os.R_OK | os.W_OK):
        sys.exit(f"{database.absolute()} cannot be read and written by this user; change its owner or permissions")
    _set_aside_if_damaged(database)


def _set_aside_if_damaged(database: Path) -> None:
    """Rename a damaged database, so that Prefect creates a new one. It holds only the history that Prefect shows."""
    if not is_damaged(database):
        return
    for path in database.parent.glob(f"{database.name}*"):
        path.rename(path.with_name(f"damaged-{time.time_ns()}-{path.name}"))
    print(f"{database} was damaged and has been set aside", file=sys.stderr)  # noqa: T201  # into server.log


def collect_garbage_aside() -> None:
    """Let a thread of its own free what is garbage in this server, from now on.

    A cursor that is freed waits for the statement that its connection is running. On SQLite, that statement may wait
    for a transaction which only the event loop can end. If the event loop's thread frees the cursor, the server answers
    nothing until the statement gives up, after 60 s.
    """

    def collect() -> None:
        time.sleep(30)
        gc.collect()
        gc.freeze()  # what the start has made stays
        while True:
            time.sleep(5)
            gc.collect()

    gc.disable()
    threading.Thread(target=collect, daemon=True).start()


def wait_for_turns() -> None:
    """Let transactions of this server wait for each other on SQLite, from now on.

    A transaction that reads and then writes fails at once on SQLite if another has written in between. Prefect 3.8
    answers 503 then; an automation tries three times more within milliseconds, and then puts its event aside for good.
    Here each transaction is a writer's from its start.
    """
    from prefect.server.database.configurations import AioSqliteConfiguration

    begin = AioSqliteConfiguration.begin_transaction

    def begin_as_writer(configuration: Any, session: Any, with_for_update: bool = False) -> Any:
        return begin(configuration, session, with_for_update=True)

    AioSqliteConfiguration.begin_transaction = begin_as_writer


def _serve(descriptor: int) -> None:
    collect_garbage_aside()
    import uvicorn

    _prepare(Path("prefect.db"))
    wait_for_turns()
    config = uvicorn.Config(
        "prefect.server.api.server:create_app", factory=True, fd=descriptor, log_level="warning", lifespan="on"
    )
    server = uvicorn.Server(config)
    threading.Thread(target=_stop_with_parent, args=(server,), daemon=True).start()
    server.run()


def _stop_with_parent(server: "uvicorn.Server") -> None:  # type: ignore[name-defined]  # noqa: F821
    os.read(sys.stdin.fileno(), 1)
    if not server.started:  # it has handled no request, and the database is created in one transaction
        os._exit(1)
    server.should_exit = True
    time.sleep(LAST_WORDS)
    os._exit(1)


if __name__ == "__main__":
    _serve(int(sys.argv[1]))
