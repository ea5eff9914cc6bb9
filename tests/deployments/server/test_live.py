"""On a real server with a real worker, deployments run as typed, on time, and when data arrive."""

import json
from collections import Counter
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId, FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.schedules import IntervalSchedule
from prefect.deployments import run_deployment

from tasks.data.download import load_sample
from tests.command import eventually
from tests.deployments.live import Live, ending_of, on_sqlite, runs_of, set_parameters
from tests.pictures import mnist_sample

pytestmark = pytest.mark.prefect


@on_sqlite  # the test of two hosts has PostgreSQL
def test_on_demand(live: Live) -> None:
    """`prefect deployment run --watch` trains as typed in the README and exits 0; the same again is served from the
    cache, and says that nothing changed. The server has every step of both, and what people read."""
    command = ("deployment", "run", "retraining/on-demand", "--param", "dataset=mnist-sample", "--watch")
    first, second = live.prefect(*command), live.prefect(*command)
    assert (first.returncode, second.returncode) == (0, 0), first.stdout + first.stderr
    assert "Promoted" in first.stdout and "Unchanged" in second.stdout
    again, run = runs_of("retraining/on-demand")
    steps = [step.name for step in live.manifests(seed=0)[-1].steps]
    assert eventually(lambda: recorded_run(run) == dict.fromkeys(["collect", *steps], "Completed"))
    assert eventually(lambda: recorded_run(again) == dict.fromkeys(steps, "Cached") | {"collect": "Completed"})
    assert artifacts(run) == artifacts(again) > {"metrics", "confusion-matrix"}
    assert eventually(lambda: live.notifications("digitflow.champion.replaced"))
    assert [message["payload"]["version"] for message in live.notifications("digitflow.champion.replaced")] == [1]


def recorded_run(run: FlowRun) -> dict[str, str]:
    """The steps of a run that the server has, with their states."""
    of_run = FlowRunFilter(id=FlowRunFilterId(any_=[run.id]))
    with get_client(sync_client=True) as client:
        tasks = client.read_task_runs(flow_run_filter=of_run)
    return {task.name.rpartition("-")[0]: str(task.state_name) for task in tasks}


def artifacts(run: FlowRun) -> set[str]:
    """The keys of what a run shows in Prefect's UI."""
    with get_client(sync_client=True) as client:
        of_run = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run.id]))
        return {str(artifact.key) for artifact in client.read_artifacts(artifact_filter=of_run)}


@on_sqlite
def test_schedules(live: Live) -> None:
    """The nightly schedule, set active by a variable, plans runs. One of a few seconds trains; what comes due while
    another run is under way is cancelled."""
    assert eventually(lambda: {run.state_name for run in runs_of("retraining/nightly")} == {"Scheduled"})
    set_parameters("retraining/nightly", dataset="mnist-sample", seed=1)
    with get_client(sync_client=True) as client:
        nightly = client.read_deployment_by_name("retraining/nightly")
        for schedule in nightly.schedules:
            client.delete_deployment_schedule(nightly.id, schedule.id)
        often = (IntervalSchedule(interval=timedelta(seconds=3)), True)
        created = client.create_deployment_schedules(nightly.id, [often])
        assert eventually(lambda: live.trained(seed=1)), live.log("worker")
        for schedule in created:
            client.delete_deployment_schedule(nightly.id, schedule.id)

    def endings() -> list[str]:
        return [ending_of(run) for run in runs_of("retraining/nightly") if run.state and not run.state.is_scheduled()]

    assert eventually(lambda: {"Cancelled"} < set(endings()) <= {"Cancelled", "Promoted", "Completed", "Unchanged"})
    assert live.trained(seed=1) == 1
    with get_client(sync_client=True) as client:  # other tests look at the schedule that was deployed
        client.create_deployment_schedules(nightly.id, [(each.schedule, each.active) for each in nightly.schedules])


@on_sqlite
def test_new_data(live: Live, tmp_path: Path) -> None:
    """`digitflow data add` is followed by a retraining of its data set, without a further word. It learns from a good
    batch, once, and puts one of test images into quarantine. One whose labels are off by one waits until a person
    releases it."""
    images, labels = _rolled_sample()
    np.savez(tmp_path / "good.npz", images=images[::17], labels=labels[::17])
    _, _, test_images, test_labels = load_sample()
    np.savez(tmp_path / "bad.npz", images=test_images, labels=test_labels)
    np.savez(tmp_path / "wrong.npz", images=images[5::17], labels=(labels[5::17] + 1) % 10)
    set_parameters("retraining/on-new-data", seed=2)

    def add(*names: str) -> list[str]:
        words = ("--dataset", "mnist-sample", "--json")
        added = [json.loads(live.digitflow("data", "add", tmp_path / name, *words).stdout) for name in names]
        return [str(batch["batch"]) for batch in added]

    def endings(count: int) -> list[str]:
        assert eventually(lambda: len(runs_of("retraining/on-new-data")) == count), live.log("server")
        return [ending_of(run) for run in runs_of("retraining/on-new-data")]

    [good] = add("good.npz")
    assert endings(1)[0] in ("Promoted", "Rejected"), live.log("worker")
    bad, _ = add("bad.npz", "good.npz")
    assert endings(3)[:2] == ["Unchanged", "Unchanged"]
    assert live.trained(seed=2) == 1
    [wrong] = add("wrong.npz")
    assert endings(4)[0] == "Unchanged"
    listed = json.loads(live.digitflow("data", "--json").stdout)
    assert [(row["batch"], row["state"]) for row in listed] == [
        (good, "accepted"),
        (wrong, "approval"),
        (bad, "quarantine"),
    ]
    report = json.loads((live.home / "quarantine" / bad / "report.json").read_text())
    assert "the test split has the same image" in str(report["errors"])
    for event in ("quarantined", "waiting"):
        assert eventually(lambda event=event: live.notifications(f"digitflow.batch.{event}"))
    assert live.digitflow("data", "release", wrong, "--reason", "to see it").returncode == 0
    assert endings(5)[0] in ("Promoted", "Rejected") and live.trained(seed=2) == 2
    runs = sorted(runs_of("retraining/on-new-data"), key=lambda run: str(run.start_time))
    assert all(one.end_time <= other.start_time for one, other in pairwise(runs))  # type: ignore[operator]


@on_sqlite
def test_runs_pile_up(live: Live, tmp_path: Path) -> None:
    """Runs that piled up while there was no worker, which is told, learn once from all that arrived meanwhile; those
    that come after find nothing to do, or are skipped."""
    images, labels = _rolled_sample()
    deployments = ("retraining/on-new-data", "retraining/nightly")
    for deployment in deployments:
        set_parameters(deployment, dataset="mnist-sample", seed=11, hyperparameters={"epochs": 1})
    before = {run.id for deployment in deployments for run in runs_of(deployment)}

    def piled() -> list[FlowRun]:
        runs = [run for deployment in deployments for run in runs_of(deployment) if run.id not in before]
        return [run for run in runs if not run.auto_scheduled or run.state_name != "Scheduled"]

    live.supervise("stop", "worker")
    for i in (2, 3):
        np.savez(tmp_path / f"{i}.npz", images=images[i::17], labels=labels[i::17])
        assert not live.digitflow("data", "add", tmp_path / f"{i}.npz", "--dataset", "mnist-sample").returncode
    for _ in range(2):
        run_deployment("retraining/nightly", timeout=0)
    assert eventually(lambda: len(piled()) == 4), live.log("server")
    assert eventually(lambda: live.notifications("prefect.flow-run.Late")), "nobody is told that no worker runs"
    assert "started what had stopped: worker" in live.run("make", "up").stdout
    endings = sorted(map(ending_of, piled()))
    steps = Counter(step.name for manifest in live.manifests(11) for step in manifest.steps if not step.cached)
    assert set(steps.values()) == {1}, steps  # runs of two deployments may share the work, never repeat it
    assert "train" in steps and set(endings) <= {"Promoted", "Rejected", "Completed", "Unchanged", "Cancelled"}
    assert endings.count("Unchanged") + endings.count("Cancelled") >= 2, endings


def _rolled_sample() -> tuple[np.ndarray, np.ndarray]:
    """The images of the sample, moved by a pixel, and their labels: new to a model that knows the sample."""
    images, labels = mnist_sample()
    return np.roll(images, 1, axis=2), labels
