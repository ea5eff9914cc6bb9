"""The registry lists every version and finds each, the champion too, whatever somebody did in MLflow."""

import shutil
import sqlite3
from pathlib import Path

import pytest

from artifacts.errors import DigitflowError, LeaseLost, UsageError
from artifacts.storage import leases
from artifacts.storage.leases import LeasedLock
from artifacts.storage.store import Store
from tasks.registry.registry import Registry
from tasks.registry.versions import UnreadableVersion
from tests.tasks.registry.conftest import PACKAGE, TEST, break_record, candidate, champion, readable, register, weights


def test_versions(registry: Registry, store: Store) -> None:
    """Versions are listed, the latest first, with their aliases and verdicts; equal weights are one version."""
    assert [(v.version, v.aliases, v.passed) for v in readable(registry, "digits")] == [
        (3, ("challenger",), False),
        (2, (), True),
        (1, ("champion",), True),
    ]
    assert register(store, 2).version == 2 and len(registry.versions()) == 3
    assert registry.versions("other") == [] and registry.champion("other") is None


def test_withdrawn_batches_are_marked(registry: Registry) -> None:
    """A version keeps why each batch that it learned from was withdrawn; MLflow's client and the local reads agree."""
    for batch, reason in (("a.npz", "off by one"), ("b.npz", "blurred"), ("a.npz", "off by one")):
        registry.mark_withdrawn(registry.find(2), batch, reason)
    assert registry.find(2).withdrawn == {"a.npz": "off by one", "b.npz": "blurred"}
    assert registry.find(1).withdrawn == {}
    for reader in (registry.tracking, registry.tracking.local):
        (model,) = reader.models("digitflow-digits")
        assert [row.version for row in model.rows if row.withdrawn] == [2]


def test_lost_lock(registry: Registry, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that may not have the registry's lock any more registers nothing and promotes nothing."""
    before = registry.versions(), registry.history("digits")
    lost = LeasedLock("redis://host", "registry local")
    monkeypatch.setattr(lost, "_is_taken_over", True)
    monkeypatch.setitem(leases._taken, "registry local", lost)
    with pytest.raises(LeaseLost):
        register(store, 4)
    with pytest.raises(LeaseLost):
        registry.promote(registry.find(2), "better", 1)
    assert (registry.versions(), registry.history("digits")) == before


def test_test_set_uses(registry: Registry, store: Store) -> None:
    """The registry counts the models that were judged on a set of test images, over all data sets, besides the one in
    question, whether their records are readable or not."""
    register(store, 4, dataset="copy")
    break_record(registry, 3)
    assert registry.test_set_uses(TEST) == 4
    assert registry.test_set_uses(TEST, besides=weights(store, 2)) == 3
    assert registry.test_set_uses("cd" * 32) == 0


def test_numbers_of_several_data_sets(registry: Registry, store: Store) -> None:
    """A number that two data sets have is an error without the data set, and so is an unknown number."""
    register(store, 4, dataset="copy")
    with pytest.raises(UsageError, match="add --dataset"):
        registry.find(1)
    assert registry.find(1, "copy").seed == 4
    with pytest.raises(UsageError, match="no version 9"):
        registry.find(9)


def test_lost_weights_come_back_from_mlflow(registry: Registry, store: Store, home: Path) -> None:
    """Weights that the store lost are restored from MLflow's copy, also in a moved home, as long as there is one."""
    version = registry.find(1)
    store.path(version.weights).unlink()
    assert registry.restore(version, store) and store.holds(version.weights)
    store.path(version.weights).unlink()
    shutil.rmtree(home / "mlflow" / "artifacts")
    assert not registry.restore(version, store)


@pytest.mark.parametrize("name", ["it's", 'a"b', "x:y", "d/e", "größe", "z" * 300])
def test_any_name_of_a_data_set(name: str, registry: Registry, store: Store) -> None:
    """Any name of a data set can be registered; its versions are its own, and those of others stay listed."""
    assert register(store, 4, dataset=name).version == 1
    assert [v.dataset for v in registry.versions(name)] == [name]
    assert registry.versions("x_y") == [] and len(registry.versions()) == 4


def test_unreadable_champion(registry: Registry) -> None:
    """A champion whose record does not validate is an error, not an absence, and another version can replace it."""
    break_record(registry, 1)
    with pytest.raises(
        DigitflowError, match=r"champion of digits is version 1, whose record is unreadable: .*momentum"
    ):
        registry.champion("digits")
    with pytest.raises(DigitflowError, match="whose record is unreadable"):
        registry.find()
    registry.promote(registry.find(2), "readable", registry.champion_number("digits"))
    assert champion(registry) == 2
    with pytest.raises(UsageError, match="no earlier champion"):
        registry.predecessor("digits")


def test_champion_that_is_no_version(registry: Registry, home: Path) -> None:
    """An alias that names a missing version is an error, not an absence."""
    with sqlite3.connect(home / "mlflow" / "mlflow.db") as database:
        database.execute("UPDATE registered_model_aliases SET version = 9 WHERE alias = 'champion'")
    with pytest.raises(UsageError, match="no version 9"):
        registry.champion("digits")


def test_unreadable_version(registry: Registry) -> None:
    """A version whose record does not validate is listed with the reason; to ask for it is an error with the reason."""
    break_record(registry, 2)
    listed = {version.version: version for version in registry.versions("digits")}
    broken = listed[2]
    assert sorted(listed) == [1, 2, 3] and isinstance(broken, UnreadableVersion)
    assert "hyperparameters.momentum" in broken.unreadable and broken.dataset == "digits" and broken.passed
    with pytest.raises(DigitflowError, match=r"version 2 of digits is unreadable: .*momentum"):
        registry.find(2)


def test_unreadable_record_is_replaced(registry: Registry, store: Store) -> None:
    """A model that is registered again gets a readable record in place of an unreadable one; a rejection stays."""
    for number in (2, 3):
        break_record(registry, number)
        again = registry.register(candidate(weights(store, number), accuracy=0.95), PACKAGE, store)
        assert (again.version, again.accuracy, again.passed) == (number, 0.95, number == 2)
    assert len(readable(registry)) == 3


def test_mark_rejected(registry: Registry) -> None:
    """A version that is marked as rejected keeps all else that is known of it."""
    before = registry.find(2)
    registry.mark_rejected(before, "a person declined it")
    assert registry.find(2) == before.model_copy(update={"passed": False, "reason": "a person declined it"})


def test_more_models_than_a_page(registry: Registry) -> None:
    """More registered models of others than MLflow lists on a page hide none of ours."""
    client = registry.tracking.client
    for number in range(101):
        client.create_registered_model(f"aaa-{number}")
    assert len(registry.versions()) == 3 and champion(registry) == 1
    assert [model.name for model in registry.tracking.models()] == ["digitflow-digits"]


def test_contains(registry: Registry, home: Path) -> None:
    """The registry contains a version as long as its database has it with these weights."""
    version = registry.find(2)
    assert registry.contains("local", 2, version.weights)
    assert not registry.contains("local", 1, version.weights) and not registry.contains("other", 2, version.weights)
    registry.tracking.client.delete_model_version("digitflow-digits", "2")
    assert not registry.contains("local", 2, version.weights)
    shutil.rmtree(home / "mlflow")
    assert not registry.contains("local", 2, version.weights)
