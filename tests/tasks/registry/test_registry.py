"""The registry knows every version, one champion and how it came to be, whatever fails in between."""

import shutil
import signal
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from artifacts.errors import DigitflowError, UsageError
from artifacts.storage.store import Ref, Store
from tasks.evaluation.gate import Baseline
from tasks.model.hyperparameters import Hyperparameters
from tasks.model.network import build
from tasks.registry.registry import WEIGHTS, Registry
from tasks.registry.versions import Candidate, ChampionChanged, Version

EXAMPLE = np.zeros((1, 8, 8, 1), np.float32)
HP = Hyperparameters(filters=(2,))


def weights(store: Store, seed: int) -> Ref:
    with store.scratch() as folder:
        build(HP, (8, 8, 1), 10, seed).save_weights(folder / "network.weights.h5")
        return store.put_bytes((folder / "network.weights.h5").read_bytes(), "weights.h5")


def register(store: Store, seed: int, passed: bool = True, dataset: str = "digits") -> Version:
    candidate = Candidate(
        dataset=dataset,
        recipe="tutorial",
        seed=seed,
        accuracy=0.9,
        passed=passed,
        reason="because",
        run=f"run-{seed}",
        weights=weights(store, seed),
        test="ab" * 32,
        hyperparameters=HP,
        image_shape=(8, 8),
        classes=10,
        opponent=Baseline(absence="no champion yet"),
    )
    files = {WEIGHTS: store.path(candidate.weights).read_bytes(), "report.html": b"<p>card</p>"}
    return Registry(store.home).register(candidate, {"loss": [2.0, 1.0]}, EXAMPLE, files, store)


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with versions 1, 2 and 3 of `digits`; 3 was rejected, 1 is champion."""
    store = Store(tmp_path_factory.mktemp("three"))
    first = register(store, 1)
    register(store, 2)
    register(store, 3, passed=False)
    Registry(store.home).promote(first, "the first", None, "run-1")
    return store.home


@pytest.fixture
def registry(three: Path, home: Path) -> Registry:
    shutil.copytree(three, home)
    return Registry(home)


def champion(registry: Registry) -> int:
    found = registry.champion("digits")
    assert found is not None
    return found.version


def test_versions(registry: Registry, store: Store) -> None:
    """Versions are listed, the latest first, with what is known of them; equal weights are one version."""
    assert [(v.version, v.aliases, v.passed) for v in registry.versions("digits")] == [
        (3, ("challenger",), False),
        (2, (), True),
        (1, ("champion",), True),
    ]
    assert register(store, 2).version == 2 and len(registry.versions()) == 3
    assert registry.versions("other") == [] and registry.champion("other") is None


def test_the_run_is_in_mlflow(registry: Registry, home: Path) -> None:
    """Parameters, metrics per epoch, files and the Keras model with signature and example are there for MLflow's UI."""
    import mlflow

    client, version = registry.tracking.client, registry.find(1)
    run = client.get_run(version.mlflow_run)
    assert run.info.status == "FINISHED" and run.data.params["filters"] == "[2]"
    assert [m.value for m in client.get_metric_history(version.mlflow_run, "train_loss")] == [2.0, 1.0]
    copied = Path(client.download_artifacts(version.mlflow_run, "model", str(home)))
    model = mlflow.pyfunc.load_model(str(copied))
    assert model.metadata.signature.inputs.inputs[0].shape == (-1, 8, 8, 1)
    np.testing.assert_array_equal(model.input_example, EXAMPLE)
    assert model.predict(EXAMPLE).shape == (1, 10)


def test_ledger(registry: Registry, store: Store) -> None:
    """The ledger counts the models that a set of test images has judged, over all data sets, besides one's own."""
    register(store, 4, dataset="copy")
    assert registry.decisions("ab" * 32) == 4
    assert registry.decisions("ab" * 32, besides=weights(store, 2)) == 3
    assert registry.decisions("cd" * 32) == 0


def test_numbers_of_several_data_sets(registry: Registry, store: Store) -> None:
    """A number that two data sets have is refused without the data set; an unknown one is refused."""
    register(store, 4, dataset="copy")
    with pytest.raises(UsageError, match="add --dataset"):
        registry.find(1)
    assert registry.find(1, "copy").seed == 4
    with pytest.raises(UsageError, match="no version 9"):
        registry.find(9)


def test_history(registry: Registry) -> None:
    """Each change is noted with what it replaced and why; a rollback returns to the champion before, and again."""
    for number, replaced in ((2, 1), (3, 2)):
        registry.promote(registry.find(number), f"reason {number}", replaced, kind="forced")
    assert champion(registry) == 3
    for back in (2, 1):
        assert registry.predecessor("digits") == back
        registry.promote(registry.find(back), "worse in use", champion(registry), kind="rollback")
        assert champion(registry) == back
    with pytest.raises(UsageError, match="no earlier champion"):
        registry.predecessor("digits")
    told = [(c.version, c.replaced, c.kind) for c in registry.history("digits")]
    assert told == [(1, None, "promotion"), (2, 1, "forced"), (3, 2, "forced"), (2, 3, "rollback"), (1, 2, "rollback")]
    assert all(c.took_effect and c.at <= datetime.now(UTC) for c in registry.history("digits"))


def test_stale_evidence_promotes_nobody(registry: Registry) -> None:
    """A model that was held against a champion that is no longer one is not promoted."""
    registry.promote(registry.find(2), "first come", 1)
    with pytest.raises(ChampionChanged):
        registry.promote(registry.find(3), "too late", 1)
    assert champion(registry) == 2 and len(registry.history("digits")) == 2


RACE = """
import sys
from pathlib import Path
from tasks.registry.versions import ChampionChanged; from tasks.registry.registry import Registry
registry = Registry(Path(sys.argv[1]))
version = registry.find(int(sys.argv[2]))
print("ready", flush=True)
input()
try:
    registry.promote(version, "race", 1)
    print("won")
except ChampionChanged:
    print("lost")
"""


def test_two_promotions_race(registry: Registry, home: Path) -> None:
    """Of two processes that promote at once, one wins, the other learns that the champion changed."""
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACE, str(home), number], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for number in ("2", "3")
    ]
    for racer in racers:
        assert racer.stdout is not None and racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("\n")
        racer.stdin.flush()
    said = [racer.communicate()[0].strip() for racer in racers]
    assert sorted(said) == ["lost", "won"]
    assert champion(registry) == (2, 3)[said.index("won")]
    assert [c.took_effect for c in registry.history("digits")] == [True, True]


KILLED = """
import os, signal, sys
from pathlib import Path
from mlflow import MlflowClient
from tasks.registry.registry import Registry
registry = Registry(Path(sys.argv[1]))
version = registry.find(2)
MlflowClient.set_registered_model_alias = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
registry.promote(version, "killed", 1)
"""


def test_killed_between_note_and_change(registry: Registry, home: Path) -> None:
    """kill -9 before the last step leaves the old champion; the note says that it had no effect, and all goes on."""
    killed = subprocess.run([sys.executable, "-c", KILLED, str(home)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert champion(registry) == 1
    assert [c.took_effect for c in registry.history("digits")] == [True, False]
    registry.promote(registry.find(2), "again", 1)
    assert champion(registry) == 2 and registry.predecessor("digits") == 1
    assert [c.took_effect for c in registry.history("digits")] == [True, False, True]


def test_locked_database(registry: Registry, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While another program locks the database, promotion is one clear error, and the champion stays; then it works."""
    version = registry.find(2)
    with sqlite3.connect(home / "mlflow" / "mlflow.db") as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(DigitflowError, match=r"the model registry .* cannot be used: .*locked"):
            registry.promote(version, "in vain", 1)
        other.rollback()
    assert champion(registry) == 1
    registry.promote(version, "now", 1)
    assert champion(registry) == 2


def test_alias_moved_in_mlflow(registry: Registry) -> None:
    """A champion that was set in MLflow's own UI is the champion, and the history does not claim otherwise."""

    registry.tracking.client.set_registered_model_alias("digitflow-digits", "champion", "3")
    assert champion(registry) == 3
    assert [c.took_effect for c in registry.history("digits")] == [False]


def test_lost_weights_come_back_from_mlflow(registry: Registry, store: Store, home: Path) -> None:
    """Weights that the store lost are restored from MLflow's copy, also in a home that was moved; without that, not."""
    version = registry.find(1)
    store.path(version.weights).unlink()
    assert registry.restore(version, store) and store.holds(version.weights)
    store.path(version.weights).unlink()
    shutil.rmtree(home / "mlflow" / "artifacts")
    assert not registry.restore(version, store)


def test_unreachable_server(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """An MLflow server that does not answer is named in one error."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(DigitflowError, match=r"the model registry http://127.0.0.1:9 cannot be used"):
        Registry(store.home).versions()


@pytest.mark.parametrize("name", ["it's", 'a"b', "x:y", "d/e", "größe", "z" * 300])
def test_any_name_of_a_data_set(name: str, registry: Registry, store: Store) -> None:
    """Whatever a data set is called, its models are its own, and those of others stay in reach."""
    assert register(store, 4, dataset=name).version == 1
    assert [v.dataset for v in registry.versions(name)] == [name]
    assert registry.versions("x_y") == [] and len(registry.versions()) == 4


def test_unreadable_champion(registry: Registry) -> None:
    """A champion whose record is damaged is not taken for none: that would let any model take its place."""

    client = registry.tracking.client
    client.set_model_version_tag("digitflow-digits", "1", "digitflow", "{}")
    with pytest.raises(DigitflowError, match="version 1, whose record is unreadable"):
        registry.champion("digits")


def test_damaged_history(registry: Registry) -> None:
    """A note that cannot be read is one clear error."""

    client = registry.tracking.client
    client.set_registered_model_tag("digitflow-digits", "promotion.000002", "oops")
    with pytest.raises(DigitflowError, match="history of digits is damaged"):
        registry.history("digits")


def test_more_models_than_a_page(registry: Registry) -> None:
    """Models of others, however many, hide none of ours."""

    client = registry.tracking.client
    for number in range(101):
        client.create_registered_model(f"aaa-{number}")
    assert len(registry.versions()) == 3 and champion(registry) == 1


def test_what_is_remembered(registry: Registry, home: Path) -> None:
    """A version is remembered as long as the database has it with its weights, and MLflow is not asked."""

    version = registry.find(2)
    assert registry.remembers("local", 2, version.weights)
    assert not registry.remembers("local", 1, version.weights) and not registry.remembers("other", 2, version.weights)
    registry.tracking.client.delete_model_version("digitflow-digits", "2")
    assert not registry.remembers("local", 2, version.weights)
    shutil.rmtree(home / "mlflow")
    assert not registry.remembers("local", 2, version.weights)


def test_passwords_stay_out(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """What names a server in manifests and messages has no password."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://user:s3cret@127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(DigitflowError) as told:
        Registry(store.home).versions()
    assert "s3cret" not in Registry(store.home).tracking.key + str(told.value)
