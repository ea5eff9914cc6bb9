"""`make up` and `make deploy` act on this home's own server, and keep what a person switched."""

import http.server
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client

from deployments import automations
from tests.command import ROOT, Finished, assert_refused, digitflow, environment, eventually, processes_of
from tests.deployments.live import Live, on_sqlite, set_parameters


def stack(verb: str, home: Path, port: int) -> Finished:
    command = [sys.executable, "-m", "deployments.stack", verb]
    variables = environment(DIGITFLOW_HOME=str(home), PORT=str(port), PREFECT_API_URL=None)
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
        refused = stack("up", tmp_path / "home", server.server_port)
        server.shutdown()
    assert_refused(refused, 1, f"port {server.server_port}", "another program", "make up PORT=")
    assert not processes_of(tmp_path / "home") and not (tmp_path / "home").exists()


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
    done = stack("down", tmp_path / "home", 4200)
    assert done.returncode == 0 and "nothing runs" in done.stdout


@pytest.mark.prefect
def test_home_of_any_name(tmp_path: Path) -> None:
    """A home with spaces, quotes, percent signs, other letters and a path longer than a socket's may be works. A second
    `up` changes nothing, and after `down` no process is left."""
    home = tmp_path / 'it\'s 100 %(x)s "größer"' / ("x" * 120)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = int(listener.getsockname()[1])
    try:
        up = stack("up", home, port)
        assert up.returncode == 0, up.stderr
        assert f"http://127.0.0.1:{port}" in up.stdout and "make deploy" in up.stdout
        assert (home / "server" / "prefect.db").exists()
        assert "already runs" in stack("up", home, port).stdout
        told = digitflow("doctor", DIGITFLOW_HOME=str(home), PREFECT_API_URL=None).stdout
        assert f"export PREFECT_API_URL=http://127.0.0.1:{port}/api" in told
    finally:
        down = stack("down", home, port)
    assert down.returncode == 0, down.stderr
    assert down.stdout.count("\n") == 1 and "have stopped" in down.stdout
    assert eventually(lambda: not processes_of(home), 10)


@pytest.mark.prefect
@on_sqlite
def test_server_of_another_home(live: Live, tmp_path: Path) -> None:
    """Nothing is started on, or deployed to, the server of another home. The message names that home."""
    other = {"DIGITFLOW_HOME": str(tmp_path / "home")}
    for command, status in ((("deployments.stack", "up"), 1), (("deployments.deploy",), 2)):
        run = Live(live.home, live.variables | other).run(sys.executable, "-m", *command)
        assert_refused(run, status, str(live.home / "server"), "make up PORT=")


@pytest.mark.prefect
@on_sqlite
def test_deploying_again_keeps_switches(live: Live) -> None:
    """A schedule that was switched, a deployment that was paused, an automation that was disabled and one that was
    enabled on the server stay so when all is deployed again; a variable that is set changes the nightly schedule."""
    plain = Live(live.home, live.variables | {"DIGITFLOW_NIGHTLY": None, "DIGITFLOW_WEBHOOK": None})
    deploy = (sys.executable, "-m", "deployments.deploy")
    with get_client(sync_client=True) as client:
        nightly = client.read_deployment_by_name("retraining/nightly")
        training = client.read_deployment_by_name("training/on-demand")
        automation = next(a for a in client.read_automations() if a.name == "digitflow: a batch drifted")
        retrain = "digitflow: retrain when predicted images drifted"
        assert not enabled(client)[retrain]
        client.update_deployment_schedule(nightly.id, nightly.schedules[0].id, active=False)
        set_parameters("retraining/nightly", dataset_name="letters")
        client.pause_deployment(training.id)
        client.pause_automation(automation.id)
        client.resume_automation(next(a.id for a in client.read_automations() if a.name == retrain))
        try:
            again = plain.run(*deploy)
            assert again.returncode == 0, again.stderr
            assert "retraining/nightly: at 0 3 * * * UTC, switched off" in again.stdout
            assert "training/on-demand: on demand, paused" in again.stdout
            assert not client.read_automation(automation.id).enabled
            assert enabled(client)[retrain]
            assert client.read_deployment(nightly.id).parameters == {"dataset_name": "letters"}
            later = Live(live.home, plain.variables | {"DIGITFLOW_CRON": "0 4 * * *"}).run(*deploy)
            assert "retraining/nightly: at 0 4 * * * UTC, switched off" in later.stdout
            wrong = Live(live.home, plain.variables | {"DIGITFLOW_NIGHTLY": "maybe"}).run(*deploy)
            assert wrong.returncode == 2 and "DIGITFLOW_NIGHTLY='maybe'" in wrong.stderr
        finally:
            set_parameters("retraining/nightly")
            client.resume_deployment(training.id)
            client.resume_automation(automation.id)
            client.pause_automation(next(a.id for a in client.read_automations() if a.name == retrain))
        third = Live(live.home, live.variables | {"DIGITFLOW_CRON": "0 3 * * *"}).run(*deploy)
        assert "retraining/nightly: at 0 3 * * * UTC\n" in third.stdout


@pytest.mark.prefect
@on_sqlite
def test_notices_need_a_webhook(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    """Automations that only tell are off while there is nobody to tell. When all is deployed again, the server keeps
    the webhook, until it is told to forget it, and off what a person switched off. Those that end dead runs are on."""

    def on(webhook: str | None) -> set[str]:
        monkeypatch.delenv("DIGITFLOW_WEBHOOK") if webhook is None else monkeypatch.setenv("DIGITFLOW_WEBHOOK", webhook)
        automations.apply()
        with get_client(sync_client=True) as client:
            return {name for name, is_on in enabled(client).items() if is_on} & ours

    url = str(live.variables["DIGITFLOW_WEBHOOK"])
    ours = {automation.name for automation in automations.automations(automations.webhook())}
    crashing = {automations.PREFIX + name for name in (automations.DEAD, automations.STUCK)}
    assert crashing < ours
    assert on("") == on(None) == crashing
    assert on(url) == ours
    with get_client(sync_client=True) as client:
        late = next(a for a in client.read_automations() if a.name == "digitflow: a run is late")
        client.pause_automation(late.id)
        assert on(None) == ours - {late.name}
        client.resume_automation(late.id)


def enabled(client: SyncPrefectClient) -> dict[str, bool]:
    return {automation.name: automation.enabled for automation in client.read_automations()}
