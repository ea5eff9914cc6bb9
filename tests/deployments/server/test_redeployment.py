"""`make up` and `make deploy` leave other servers alone, and keep what a person switched."""

import sys
from pathlib import Path

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client

from deployments import automations
from tests.command import assert_refused
from tests.deployments.live import Live, on_sqlite, set_parameters

pytestmark = [pytest.mark.prefect, on_sqlite]


def test_server_of_another_home(live: Live, tmp_path: Path) -> None:
    """Nothing is started on, or deployed to, the server of another home. The message names that home."""
    other = {"DIGITFLOW_HOME": str(tmp_path / "home")}
    for command, status in ((("deployments.stack", "up"), 1), (("deployments.deploy",), 2)):
        run = Live(live.home, live.variables | other).run(sys.executable, "-m", *command)
        assert_refused(run, status, str(live.home / "server"), "make up PORT=")


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
            again = Live(live.home, plain.variables | {"DIGITFLOW_CRON": "0 4 * * *"}).run(*deploy)
            assert again.returncode == 0, again.stderr
            assert "retraining/nightly: at 0 4 * * * UTC, switched off" in again.stdout
            assert "training/on-demand: on demand, paused" in again.stdout
            assert not client.read_automation(automation.id).enabled
            assert enabled(client)[retrain]
            assert client.read_deployment(nightly.id).parameters == {"dataset_name": "letters"}
            wrong = Live(live.home, plain.variables | {"DIGITFLOW_NIGHTLY": "maybe"}).run(*deploy)
            assert wrong.returncode == 2 and "DIGITFLOW_NIGHTLY='maybe'" in wrong.stderr
        finally:
            set_parameters("retraining/nightly")
            client.resume_deployment(training.id)
            client.resume_automation(automation.id)
            client.pause_automation(next(a.id for a in client.read_automations() if a.name == retrain))
        later = Live(live.home, live.variables | {"DIGITFLOW_CRON": "0 3 * * *"}).run(*deploy)
        assert "retraining/nightly: at 0 3 * * * UTC\n" in later.stdout


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
