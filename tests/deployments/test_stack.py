"""`make up` and `make down` act on this home's own server."""

import http.server
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from deployments.stack import Stack
from tests.command import ROOT, Finished, assert_refused, digitflow, environment, eventually, processes_of


def stack(*words: str, home: Path, port: int, url: str | None = None) -> Finished:
    command = [sys.executable, "-m", f"deployments.{words[0]}", *words[1:]]
    variables = environment(DIGITFLOW_HOME=str(home), PORT=str(port), PREFECT_API_URL=url)
    return subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, timeout=200)


class Stranger(http.server.BaseHTTPRequestHandler):
    """A web server that is not Prefect's."""

    def do_GET(self) -> None:
        self.send_response(404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_port_of_another_program(tmp_path: Path) -> None:
    """A port that another program has is told, with another port to take, and nothing is started."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Stranger) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        refused = stack("stack", "up", home=tmp_path / "home", port=server.server_port)
        server.shutdown()
    assert_refused(refused, 1, f"port {server.server_port}", "another program", "make up PORT=")
    assert not processes_of(tmp_path / "home") and not (tmp_path / "home").exists()


def test_another_server_is_named(tmp_path: Path) -> None:
    """`make up` starts nothing while PREFECT_API_URL names another server: the worker would join that one."""
    for url, way in (("http://127.0.0.1:9/api", "make up PORT=9"), ("http://elsewhere:4200/api", ""), ("http://[", "")):
        refused = stack("stack", "up", home=tmp_path / "home", port=4200, url=url)
        assert_refused(refused, 2, f"PREFECT_API_URL is {url}", "127.0.0.1:4200/api", "unset PREFECT_API_URL", way)
    assert not (tmp_path / "home").exists()


def test_what_can_be_no_server(tmp_path: Path) -> None:
    """`make deploy` tells an address that is none, and a server that is not Prefect's, in one line."""
    refused = stack("deploy", home=tmp_path, port=4200, url="127.0.0.1:4200/api")
    assert_refused(refused, 2, "PREFECT_API_URL is 127.0.0.1:4200/api", "no address of a server, such as http://")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Stranger) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        refused = stack("deploy", home=tmp_path, port=4200, url=url)
        server.shutdown()
    assert_refused(refused, 1, f"{url} is not the API of a Prefect server: it answers 404", f"name {url}/api")


@pytest.mark.parametrize("port", ["0", "65536", "http", "-1"])
def test_port_that_is_none(port: str, tmp_path: Path) -> None:
    """A PORT that is no port is refused with status 2."""
    refused = subprocess.run(
        [sys.executable, "-m", "deployments.stack", "up"],
        cwd=ROOT,
        env=environment(DIGITFLOW_HOME=str(tmp_path / "home"), PORT=port),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert_refused(refused, 2, repr(port))


def test_nothing_to_stop(tmp_path: Path) -> None:
    """`make down` where nothing runs says so, and is no error."""
    done = stack("stack", "down", home=tmp_path / "home", port=4200)
    assert done.returncode == 0 and "nothing runs" in done.stdout


@pytest.mark.prefect
def test_home_of_any_name(tmp_path: Path) -> None:
    """A home with spaces, quotes, percent signs, other letters and a path longer than a socket's may be works. A second
    `up` changes nothing, and after `down` no process and no socket is left."""
    home = tmp_path / 'it\'s 100 %(x)s "größer"' / ("x" * 120)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = int(listener.getsockname()[1])
    try:
        up = stack("stack", "up", home=home, port=port)
        assert up.returncode == 0, up.stderr
        assert f"http://127.0.0.1:{port}" in up.stdout and "make deploy" in up.stdout
        assert (home / "server" / "prefect.db").exists()
        again = stack("stack", "up", home=home, port=port + 1, url="http://127.0.0.1:9/api").stdout
        assert f"already runs on http://127.0.0.1:{port}, not on port {port + 1}" in again
        elsewhere = stack("deploy", home=home, port=4200, url="http://127.0.0.1:9/api")
        assert_refused(elsewhere, 2, f"server is http://127.0.0.1:{port}/api", "127.0.0.1:9/api", f"PORT={port}")
        told = digitflow("doctor", DIGITFLOW_HOME=str(home), PREFECT_API_URL=None).stdout
        assert f"export PREFECT_API_URL=http://127.0.0.1:{port}/api" in told
    finally:
        down = stack("stack", "down", home=home, port=port)
    assert down.returncode == 0, down.stderr
    assert down.stdout.count("\n") == 1 and "have stopped" in down.stdout
    assert not Stack(home, port).run_folder.exists()
    assert eventually(lambda: not processes_of(home), 10)
