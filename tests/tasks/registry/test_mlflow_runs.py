"""What is logged is in MLflow for its UI."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from artifacts.storage.store import Store
from tasks.data.images import GreyImage
from tasks.pictures.model_input import to_model_input
from tasks.prediction.classifier import Classifier
from tasks.registry.mlflow_client import Tracking
from tasks.registry.mlflow_runs import LoggedVariant, log_experiment
from tasks.registry.registry import Registry
from tasks.registry.versions import WEIGHTS
from tests.command import environment
from tests.pictures import seven
from tests.tasks.registry.conftest import EXAMPLE


def test_log_candidate(registry: Registry, home: Path) -> None:
    """MLflow has the parameters, the metrics per epoch, the files, and a model of raw pictures with an example."""
    import mlflow

    client, version = registry.tracking.client, registry.find(1)
    run = client.get_run(version.mlflow_run)
    assert run.info.status == "FINISHED" and run.data.params["filters"] == "[2]"
    assert [m.value for m in client.get_metric_history(version.mlflow_run, "train_loss")] == [2.0, 1.0]
    assert {WEIGHTS, "report.html"} <= {file.path for file in client.list_artifacts(version.mlflow_run)}
    copied = Path(client.download_artifacts(version.mlflow_run, "model", str(home)))
    model = mlflow.pyfunc.load_model(str(copied))
    assert model.metadata.signature.outputs.inputs[0].shape == (-1, 10)
    np.testing.assert_array_equal(model.input_example, np.rint((EXAMPLE[..., 0] + 0.5) * 255))


def test_run_page(registry: Registry) -> None:
    """MLflow's page has of a run: all metrics, source and commit, start, the data set that it read, and its model."""
    run = registry.tracking.client.get_run(registry.find(1).mlflow_run)
    assert run.info.run_name.startswith("tutorial 90.00% ")
    assert {"test_accuracy": 0.9, "test_loss": 0.5, "fit_seconds": 1.5}.items() <= run.data.metrics.items()
    assert run.data.tags["mlflow.source.name"] == "flows/training.py"
    assert run.data.tags["mlflow.source.git.commit"] == "ab" * 20
    assert json.loads(run.data.tags["mlflow.log-model.history"])[0]["artifact_path"] == "model"
    assert run.info.start_time == 1_767_225_600_000 < run.info.end_time
    (read,) = run.inputs.dataset_inputs
    assert (read.dataset.name, read.tags[0].value) == ("digits", "training")
    assert json.loads(read.dataset.source) == {"url": "https://example.org/digits"}
    assert json.loads(read.dataset.profile)["num_rows"] == 60


def test_version_page(registry: Registry) -> None:
    """A version's description is Markdown for people, and follows its verdict; no tag in view is long."""
    registry.mark_rejected(registry.find(2), "a person declined it")
    client = registry.tracking.client
    for number, verdict in ((1, "passed"), (2, "rejected"), (3, "rejected")):
        version = client.get_model_version("digitflow-digits", str(number))
        assert f"The gate's verdict: **{verdict}**" in version.description
        shown = {name: value for name, value in version.tags.items() if not name.startswith("mlflow.")}
        assert shown["verdict"] == verdict and max(map(len, shown.values())) < 100


ALONE = """
import sys
import mlflow
import numpy as np
model = mlflow.pyfunc.load_model(sys.argv[1])
np.save(sys.argv[2], model.predict(np.load(sys.argv[2])))
assert "tasks" not in sys.modules
"""


def test_logged_model_brings_its_code(registry: Registry, home: Path, tmp_path: Path) -> None:
    """Without any module of ours, the logged model reads raw pictures of any size as a classifier does."""
    version, pictures = registry.find(1), np.stack([seven(60), 255 - seven(60)])
    copied = registry.tracking.client.download_artifacts(version.mlflow_run, "model", str(tmp_path))
    np.save(tmp_path / "pictures.npy", pictures)
    script = [sys.executable, "-c", ALONE, copied, tmp_path / "pictures.npy"]
    subprocess.run(script, check=True, cwd=tmp_path, env=environment(PYTHONPATH=None))
    images = [to_model_input(GreyImage(picture, ()), (8, 8), version.conventions).pixels for picture in pictures]
    expected = Classifier.of(version, Store(home)).predict(np.stack(images))
    np.testing.assert_allclose(np.load(tmp_path / "pictures.npy"), expected, atol=1e-6)


def test_log_experiment(home: Path) -> None:
    """An experiment is a run with the page, and below it a run for each variant: its values by seed, and their mean."""
    tracking = Tracking(home)
    variants = [
        LoggedVariant("wide", {"filters": [16]}, {"validation_accuracy": {0: 0.8, 1: 0.9}}, weights=7),
        LoggedVariant("broken", {"filters": [1]}, {"fit_seconds": {0: 1.0}}, weights=0, failure="no memory"),
    ]
    log_experiment(tracking, "digits", variants, b"<p>page</p>")
    runs = {run.info.run_name: run for run in tracking.client.search_runs([tracking.experiment])}
    parent, wide, broken = runs["digits"].info.run_id, runs["wide"], runs["broken"]
    assert [file.path for file in tracking.client.list_artifacts(parent)] == ["report.html"]
    assert [run.data.tags["mlflow.parentRunId"] for run in (wide, broken)] == [parent, parent]
    values = tracking.client.get_metric_history(wide.info.run_id, "validation_accuracy_by_seed")
    assert [(value.step, value.value) for value in values] == [(0, 0.8), (1, 0.9)]
    assert wide.data.params == {"filters": "[16]"} and wide.info.status == "FINISHED"
    assert wide.data.metrics["validation_accuracy_mean"] == pytest.approx(0.85) and wide.data.metrics["parameters"] == 7
    assert wide.data.tags["mlflow.note.content"].startswith("Means over 2 seeds (0, 1).")
    assert broken.info.status == "FAILED" and broken.data.metrics == {"fit_seconds_by_seed": 1.0}
    assert broken.data.tags["mlflow.note.content"] == "Failed: no memory"
