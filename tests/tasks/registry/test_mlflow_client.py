"""An unusable server is one clear error, and the experiment and its files are where they belong."""

from pathlib import Path

import pytest

from artifacts.errors import DigitflowError, UsageError
from artifacts.storage.store import Store
from tasks.registry.mlflow_client import Tracking
from tasks.registry.registry import Registry
from tasks.registry.versions import WEIGHTS
from tests.tasks.registry.conftest import register


def test_kind_of_experiment(registry: Registry) -> None:
    """The experiment is one of model development, also if an earlier digitflow created it."""
    client, experiment = registry.tracking.client, registry.tracking.experiment
    client.delete_experiment_tag(experiment, "mlflow.experimentKind")
    Tracking(registry.tracking.local.path.parents[1]).open()
    assert client.get_experiment(experiment).tags["mlflow.experimentKind"] == "custom_model_development"


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
