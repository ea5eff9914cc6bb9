"""One server and worker for all live tests of one database, by `make up`, `make deploy` and `make down`."""

import contextlib
import http.server
import json
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings

from flows.cli.servers import flush_events
from tests.command import eventually, processes_of
from tests.deployments.hosts import postgres_server
from tests.deployments.live import Live, free_port

PASSWORD = "somebody:secret"


@pytest.fixture(scope="package")
def live(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A server with a password and a worker, on loopback, with every deployment of prefect.yaml.

    The scope is the package, not the session: they would take processor time from all later tests.
    """
    home, port = tmp_path_factory.mktemp("live") / "home", free_port()
    url = f"http://127.0.0.1:{port}/api"
    live = Live(home, {
        **dict.fromkeys(("MAKEFLAGS", "MAKELEVEL", "MFLAGS")),  # this may be `make test`
        "DIGITFLOW_HOME": str(home),
        "DIGITFLOW_NIGHTLY": "true",
        "PORT": str(port),
        "PREFECT_API_URL": url,
        "PREFECT_API_AUTH_STRING": PASSWORD,
        "PREFECT_SERVER_API_AUTH_STRING": PASSWORD,
        "PREFECT_API_DATABASE_CONNECTION_URL": request.getfixturevalue(request.param),
        "PREFECT_HOME": str(home.parent / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "0",
        "PREFECT_SERVER_DEPLOYMENTS_CONCURRENCY_SLOT_WAIT_SECONDS": "2",
        "PREFECT_WORKER_QUERY_SECONDS": "2",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    })  # fmt: skip
    with _receiver(live.received) as live.variables["DIGITFLOW_WEBHOOK"]:
        try:
            for command in (("make", "up"), ("make", "deploy")):
                made = live.run(*command)
                assert made.returncode == 0, made.stdout + made.stderr
            with temporary_settings({PREFECT_API_URL: url, PREFECT_API_AUTH_STRING: PASSWORD}):
                flush_events()  # what tests on another server left: Prefect would go on to send events there
                yield live
                flush_events()
        finally:
            assert live.run("make", "down").returncode == 0
    assert eventually(lambda: not processes_of(home), 10), "make down left processes"


@pytest.fixture(scope="package")
def sqlite() -> None:
    """Prefect's default database."""


@pytest.fixture(scope="package")
def postgres() -> Iterator[str]:
    """A PostgreSQL server on loopback; yields its URL."""
    with postgres_server() as url:
        yield url


@contextlib.contextmanager
def _receiver(received: list[dict[str, Any]]) -> Iterator[str]:
    """A web server that adds each JSON body that it receives to `received`; yields its URL."""

    class Receiver(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
