"""What is logged is in MLflow for its UI, and an unusable server is one clear error."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from artifacts.errors import DigitflowError, UsageError
from artifacts.storage.store import Store
from tasks.data.images import GreyImage
from tasks.pictures.model_input import to_model_input
from tasks.prediction.classifier import Classifier
from tasks.registry.mlflow_runs import LoggedVariant, Tracking
from tasks.registry.registry import Registry
from tasks.registry.versions import WEIGHTS
from tests.command import environment
from tests.pictures import seven
from tests.tasks.registry.conftest import EXAMPLE, register


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
    """An experiment is a run with the page, and below it a run for each variant with its values by seed."""
    tracking = Tracking(home)
    variants = [
        LoggedVariant("wide", {"filters": [16]}, accuracies={0: 0.8, 1: 0.9}, seconds={0: 2.0, 1: 3.0}, failed=False),
        LoggedVariant("broken", {"filters": [1]}, accuracies={}, seconds={0: 1.0}, failed=True),
    ]
    tracking.log_experiment("digits", variants, b"<p>page</p>")
    runs = {run.info.run_name: run for run in tracking.client.search_runs([tracking.experiment])}
    parent, wide, broken = runs["digits"].info.run_id, runs["wide"], runs["broken"]
    assert [file.path for file in tracking.client.list_artifacts(parent)] == ["report.html"]
    assert [run.data.tags["mlflow.parentRunId"] for run in (wide, broken)] == [parent, parent]
    values = tracking.client.get_metric_history(wide.info.run_id, "validation_accuracy")
    assert [(value.step, value.value) for value in values] == [(0, 0.8), (1, 0.9)]
    assert wide.data.params == {"filters": "[16]"} and wide.info.status == "FINISHED"
    assert broken.info.status == "FAILED" and broken.data.metrics == {"fit_seconds": 1.0}


def test_unreachable_server(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """An MLflow server that does not answer is named in one error."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(DigitflowError, match=r"the model registry http://127.0.0.1:9 cannot be used"):
        Registry(store.home).versions()


def test_passwords_stay_out(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The name of a server in manifests and messages has no password."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://user:s3cret@127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(DigitflowError) as error:
        Registry(store.home).versions()
    assert "s3cret" not in Registry(store.home).tracking.key + str(error.value)


@pytest.mark.parametrize("address", ["./mlruns", "mlruns", "nonsense://x", "file:///tmp/x", "databricks"])
def test_impossible_address(address: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An address at which MLflow keeps no registry is refused as soon as it is known, with the addresses that work."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    with pytest.raises(UsageError, match=r"MLFLOW_TRACKING_URI is .*begins with one of http:"):
        Tracking(home)
    assert not home.exists()


def test_database_elsewhere_keeps_files_in_the_home(
    home: Path, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a database of one's own, the files of the runs lie below the home, and none in the current folder."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/other.db")
    version = register(store, 1)
    assert Registry(home).restore(version, Store(tmp_path / "new home"))
    assert list(home.glob(f"mlflow/artifacts/**/{WEIGHTS}"))
    assert not list((tmp_path / "here").iterdir())


def test_deleted_experiment(registry: Registry, home: Path) -> None:
    """A deleted experiment is an error that says how to restore it, before anything is logged."""
    client, experiment = registry.tracking.client, registry.tracking.experiment
    client.delete_experiment(experiment)
    with pytest.raises(UsageError, match=f"deleted in MLflow; restore it: .*--experiment-id {experiment}"):
        Tracking(home).open()
    client.restore_experiment(experiment)
    Tracking(home).open()
