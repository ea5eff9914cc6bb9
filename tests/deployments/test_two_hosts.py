"""Two hosts share the work: when one is cut off, the other finishes its run, and the first does no harm when back."""

import hashlib
import json
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest
from mlflow import MlflowClient
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, temporary_settings
from redis import Redis

from deployments.automations import dead_runs
from tasks.registry.versions import RECORD
from tests.command import digitflow, eventually, processes_with
from tests.deployments.hosts import HUB, Cluster, cluster
from tests.deployments.live import Live, impatient, start_run, state_of

pytestmark = [pytest.mark.prefect, pytest.mark.postgres, pytest.mark.redis, pytest.mark.namespaces, pytest.mark.slow]

SEED, EPOCHS = 3, 20


def test_a_host_is_cut_off(tmp_path: Path) -> None:
    """A host is cut off in mid-training. Its run is found dead, and is retried: the other host goes on from the last
    checkpoint, to the bytes of a training that was never interrupted. The first comes back while the other trains. Then
    no step has been computed twice, the model was promoted once, and the first has changed nothing of the run."""
    with cluster(tmp_path, "a", "b") as made, temporary_settings({PREFECT_API_URL: made.variables["PREFECT_API_URL"]}):
        person, first, second = made.machine("hub"), made.machine("a"), made.machine("b")
        with impatient(dead_runs(timeout=timedelta(seconds=40))):
            made.start_worker("a")
            run = start_run("training/on-demand", SEED, epochs=EPOCHS)
            assert eventually(lambda: made.stored("checkpoints")), first.log("worker")
            made.cut_off("a")
            made.start_worker("b")
            uninterrupted = weights_of_another_training(tmp_path / "alone")
            assert eventually(lambda: state_of(run).name == "Crashed"), state_of(run)
        assert person.prefect("flow-run", "retry", str(run.id)).returncode == 0
        writes = len(made.written("checkpoints"))
        assert eventually(lambda: len(made.written("checkpoints")) > writes), second.log("worker")
        made.reconnect("a")
        assert eventually(lambda: not processes_with(f"PREFECT__FLOW_RUN_ID={run.id}")), first.log("worker")

        with get_client(sync_client=True) as client:
            states = [state.name for state in client.read_flow_run_states(run.id)]
        assert states[-1] == "Promoted" and Counter(states)["Promoted"] == Counter(states)["Crashed"] == 1, states
        assert "has started this run again meanwhile, so this process leaves it" in first.whole_log("worker")
        assert computed(first) | computed(second) == dict.fromkeys(steps(second), 1)
        assert not computed(first).keys() & computed(second).keys()
        assert len(set(made.written("records"))) == len(made.written("records")) == len(steps(second))
        assert promoted(made) == [(1, second.manifests(SEED)[0].run, uninterrupted)]
        assert made.stored("checkpoints") == [] and Redis(HUB).keys("digitflow:*") == []


def weights_of_another_training(home: Path) -> str:
    """The SHA-256 of the weights that the same training comes to on a machine of its own, without interruption."""
    options = ("--dataset", "mnist-sample", "--seed", SEED, "--epochs", EPOCHS, "--until", "train", "--json")
    own = {"DIGITFLOW_HOME": str(home), "PREFECT_HOME": str(home / "prefect"), "PREFECT_API_URL": None}
    done = digitflow("train", *options, **own)
    assert done.returncode == 0, done.stderr
    return hashlib.sha256(Path(json.loads(done.stdout)["results"]["weights"]).read_bytes()).hexdigest()


def steps(host: Live) -> list[str]:
    """The steps of the run on a host."""
    [manifest] = host.manifests(SEED)
    return [step.name for step in manifest.steps]


def computed(host: Live) -> dict[str, int]:
    """How many times a host computed each step, instead of taking its result from the cache."""
    return Counter(step.name for manifest in host.manifests(SEED) for step in manifest.steps if not step.cached)


def promoted(made: Cluster) -> list[tuple[int, str, str]]:
    """Each promotion in MLflow: the version, by which run, and the SHA-256 of its weights."""
    client = MlflowClient(made.variables["MLFLOW_TRACKING_URI"])
    [model], [version] = client.search_registered_models(), client.search_model_versions()
    assert model.aliases == {"champion": "1"}
    weights = json.loads(version.tags[RECORD])["weights"]["sha256"]
    notes = [json.loads(value) for tag, value in sorted(model.tags.items()) if tag.startswith("promotion.")]
    return [(note["version"], note["run"], weights) for note in notes]
