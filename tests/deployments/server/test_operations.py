"""After a kill of any process, no work is lost or done twice; approval and a password are asked for where set."""

import json
from datetime import date, timedelta

import pytest
from prefect.client.orchestration import get_client
from prefect.events import emit_event
from prefect.states import Cancelled, Pending

from deployments.automations import dead_runs, stale_champions, stuck_runs, webhook
from flows.cli.verbs.serve import tell_server
from flows.publication.announcements import CONFIRMED
from tasks.monitoring.compared_days import ComparedDay
from tasks.monitoring.drift import Drift
from tests.command import eventually
from tests.deployments.live import Live, ending_of, impatient, on_sqlite, runs_of, start_run, state_of

pytestmark = [pytest.mark.prefect, on_sqlite]

ON_DEMAND = "training/on-demand"
DONE = ("Completed", "Rejected", "Promoted")
SLOT_LOST = "Deployment concurrency slot lost during provisioning - no slots available to continue execution"
"""The words of Prefect's server."""
LONG = 10
"""Epochs that last long enough to be killed in the middle."""


def test_the_run_is_killed(live: Live) -> None:
    """After kill -9 of a run's process the run is Crashed, a notification is sent, and a retry finishes the run."""
    run = start_run(ON_DEMAND, seed=3, epochs=LONG)
    live.await_training(seed=3)
    live.kill_run(run)
    assert eventually(lambda: state_of(run).name == "Crashed")
    assert eventually(lambda: live.notifications("prefect.flow-run.Crashed"))
    # the process that watches the run reports it, then, perhaps, the worker: a retry in between reads Crashed again
    assert eventually(lambda: "prefect.flow_runs.worker - Check whether" in live.whole_log("worker"))
    assert live.prefect("flow-run", "retry", str(run.id)).returncode == 0
    assert ending_of(run) in DONE, live.log("worker")
    assert live.trained(seed=3) == 1


def test_the_server_is_killed(live: Live) -> None:
    """After kill -9 of the server during a run, the run continues, and ends well on the restarted server."""
    run = start_run(ON_DEMAND, seed=4, epochs=LONG)
    live.await_training(seed=4)
    live.kill("server")
    assert ending_of(run) in DONE, live.log("worker")
    assert live.trained(seed=4) == 1
    assert {manifest.status for manifest in live.manifests(seed=4)} <= {"passed", "rejected"}


def test_the_server_is_killed_before_a_run_begins(live: Live) -> None:
    """A run that cannot begin, because the server is gone, is Crashed. It keeps its concurrency slot: a retry finishes
    it."""
    run = start_run("retraining/on-demand", seed=12)
    assert eventually(lambda: state_of(run).name in ("Pending", "Submitting"), 20)
    live.kill("server")
    if ending_of(run) == "Crashed":
        assert live.prefect("flow-run", "retry", str(run.id)).returncode == 0
    assert eventually(lambda: state_of(run).name in DONE), (state_of(run), live.log("worker"))
    assert live.trained(seed=12) == 1


def test_the_worker_is_killed(live: Live) -> None:
    """After kill -9 of the worker during a run, the run stops and is Crashed, and a retry on the restarted worker
    finishes it."""
    run = start_run(ON_DEMAND, seed=5, epochs=LONG)
    live.await_training(seed=5)
    live.kill("worker")
    assert ending_of(run) == "Crashed", live.log("worker")
    assert live.prefect("flow-run", "retry", str(run.id)).returncode == 0
    assert eventually(lambda: state_of(run).name in DONE), (state_of(run), live.log("worker"))
    assert live.trained(seed=5) <= 1, "not twice, and not at all if the first run had just ended it when it stopped"


def test_all_is_killed(live: Live) -> None:
    """A run that is killed together with its worker, which would report it, is found by its missing heartbeat."""
    with impatient(dead_runs(timeout=timedelta(seconds=40))):
        run = start_run(ON_DEMAND, seed=6, epochs=LONG)
        live.await_training(seed=6)
        live.kill("worker")
        live.kill_run(run)
        assert ending_of(run) == "Crashed"
        assert "no heartbeat" in str(state_of(run).message)


def test_a_run_never_starts(live: Live) -> None:
    """A run whose worker was killed between taking and starting it becomes Crashed."""
    with impatient(stuck_runs(timeout=timedelta(seconds=10))), get_client(sync_client=True) as client:
        deployment = client.read_deployment_by_name(ON_DEMAND)
        run = client.create_flow_run_from_deployment(deployment.id, state=Pending())
        assert ending_of(run) == "Crashed"
        assert "never started" in str(state_of(run).message)
    (row,) = (row for row in json.loads(live.digitflow("runs", "--json").stdout) if row["run"] == run.name)
    assert (row["verdict"], row["started"]) == ("never started, Crashed", None) and "its worker is gone" in row["error"]


def test_a_run_loses_its_slot(live: Live) -> None:
    """A run that Prefect cancels because it lost its slot is told, and listed; not one that a person cancels."""
    with get_client(sync_client=True) as client:
        deployment = client.read_deployment_by_name(ON_DEMAND)
        lost, asked = (client.create_flow_run_from_deployment(deployment.id, state=Pending()) for _ in range(2))
        client.set_flow_run_state(asked.id, Cancelled(message="not needed"), force=True)
        client.set_flow_run_state(lost.id, Cancelled(message=SLOT_LOST), force=True)
    assert eventually(lambda: live.notifications("prefect.flow-run.Cancelled")), live.log("server")
    told = {message["resource"] for message in live.notifications("prefect.flow-run.Cancelled")}
    assert told == {f"prefect.flow-run.{lost.id}"}
    listed = {row["run"]: row["error"] for row in json.loads(live.digitflow("runs", "--json").stdout)}
    assert listed[lost.name] == SLOT_LOST


def test_a_champion_is_stale(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run confirms the champion. If no other does in time, that is told once, with the last confirmation; a champion
    that is confirmed again and again is not stale."""
    monkeypatch.setenv("DIGITFLOW_WEBHOOK", str(live.variables["DIGITFLOW_WEBHOOK"]))

    def confirm_another() -> None:
        emit_event(CONFIRMED, {"prefect.resource.id": "digitflow.model.fresh"}, payload={"dataset": "fresh"})

    def stale() -> list[str]:
        return [message["payload"]["dataset"] for message in live.notifications("digitflow.champion.stale")]

    with impatient(stale_champions(webhook(), within=timedelta(seconds=15))):
        run = start_run("retraining/on-demand", seed=0)
        assert ending_of(run) in (*DONE, "Unchanged"), live.log("worker")
        assert eventually(lambda: confirm_another() or stale()), live.log("server")
        assert stale() == ["mnist-sample"]
        assert live.notifications("digitflow.champion.stale")[0]["resource"] == "digitflow.model.mnist-sample"


def test_retraining_after_drift(live: Live) -> None:
    """Drift of predicted images is told; once its automation is enabled, it starts a retraining of its data set."""

    def drift() -> None:
        worst = Drift(statistic="slant", index=0.5, threshold=0.25)
        day = ComparedDay(day=date.today(), dataset="mnist-sample", version=1, images=300, drift=(worst,))
        tell_server(day)

    drift()
    assert eventually(lambda: live.notifications("digitflow.drift.detected")), live.log("server")
    assert runs_of("retraining/on-drift") == []
    name = "digitflow: retrain when predicted images drifted"
    with get_client(sync_client=True) as client:
        automation = next(each for each in client.read_automations() if each.name == name)
        client.resume_automation(automation.id)
        try:
            drift()
            assert eventually(lambda: runs_of("retraining/on-drift")), live.log("server")
        finally:
            client.pause_automation(automation.id)
    (run,) = runs_of("retraining/on-drift")
    assert run.parameters["dataset"] == "mnist-sample"
    assert ending_of(run) in ("Promoted", "Unchanged", "Rejected"), live.log("worker")


@pytest.mark.parametrize(("seed", "promote", "ending"), [(9, True, "Promoted"), (10, False, "Declined")])
def test_approval(live: Live, seed: int, promote: bool, ending: str) -> None:
    """A run that needs approval is suspended and has no process; a person's answer starts it again, the cache answers
    for its steps, and the answer decides."""
    run = start_run("retraining/on-demand", seed, approve=True, gate={"against_champion": "nothing"})
    assert ending_of(run) == "Suspended", live.log("worker")
    assert eventually(lambda: live.notifications("prefect.flow-run.Suspended")), "nobody is told that it waits"
    with get_client(sync_client=True) as client:
        client.resume_flow_run(run.id, run_input={"promote": promote, "reason": "seen by a person"})
    assert eventually(lambda: state_of(run).name == ending), live.log("worker")
    first, again = sorted(live.manifests(seed), key=lambda manifest: manifest.started)
    assert not any(step.cached for step in first.steps if step.name == "train")
    assert all(step.cached for step in again.steps)


def test_password(live: Live) -> None:
    """A server with a password refuses a command without it, and serves a command with it."""
    train = ("train", "--dataset", "mnist-sample", "--json")
    refused = live.digitflow(*train, PREFECT_API_AUTH_STRING=None)
    assert refused.returncode == 1 and "PREFECT_API_AUTH_STRING" in refused.stderr.splitlines()[-1]
    served = live.digitflow(*train)
    assert served.returncode == 0, served.stderr
