"""The registry lists every version, one champion and its history, whatever fails in between."""

import shutil
import signal
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from artifacts.errors import DigitflowError, LeaseLost, UsageError
from artifacts.storage import leases
from artifacts.storage.leases import LeasedLock
from artifacts.storage.store import Store
from tasks.registry.registry import Registry
from tasks.registry.versions import ChampionChanged, UnreadableVersion
from tests.tasks.registry.conftest import PACKAGE, TEST, break_record, candidate, readable, register, weights


def champion(registry: Registry) -> int:
    version = registry.champion("digits")
    assert version is not None
    return version.version


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


def test_rollback_skips_withdrawn_data(registry: Registry) -> None:
    """A rollback returns to no version that learned from a batch that was withdrawn."""
    for number, replaced in ((2, 1), (3, 2)):
        registry.promote(registry.find(number), "better", replaced, kind="forced")
    assert registry.predecessor("digits") == 2
    registry.mark_withdrawn(registry.find(2), "a.npz", "off by one")
    assert registry.predecessor("digits") == 1
    registry.mark_withdrawn(registry.find(1), "a.npz", "off by one")
    with pytest.raises(UsageError, match="no earlier champion"):
        registry.predecessor("digits")


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


def test_history(registry: Registry) -> None:
    """Each change is noted with the version that it replaced and why; a rollback returns to the champion before, and
    a second one to the champion before that."""
    for number, replaced in ((2, 1), (3, 2)):
        registry.promote(registry.find(number), f"reason {number}", replaced, kind="forced")
    assert champion(registry) == 3
    for back in (2, 1):
        assert registry.predecessor("digits") == back
        registry.promote(registry.find(back), "worse in use", champion(registry), kind="rollback")
        assert champion(registry) == back
    with pytest.raises(UsageError, match="no earlier champion"):
        registry.predecessor("digits")
    changes = [(c.version, c.replaced, c.kind) for c in registry.history("digits")]
    assert changes == [
        (1, None, "promotion"),
        (2, 1, "forced"),
        (3, 2, "forced"),
        (2, 3, "rollback"),
        (1, 2, "rollback"),
    ]
    assert all(c.took_effect and c.at <= datetime.now(UTC) for c in registry.history("digits"))


def test_stale_evidence_promotes_nobody(registry: Registry) -> None:
    """A model that was held against a former champion is not promoted."""
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
    """Of two processes that promote at once, one wins, and the other gets ChampionChanged."""
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
    """kill -9 before the alias moves leaves the old champion and a note without effect; a later promotion works."""
    killed = subprocess.run([sys.executable, "-c", KILLED, str(home)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert champion(registry) == 1
    assert [c.took_effect for c in registry.history("digits")] == [True, False]
    registry.promote(registry.find(2), "again", 1)
    assert champion(registry) == 2 and registry.predecessor("digits") == 1
    assert [c.took_effect for c in registry.history("digits")] == [True, False, True]


def test_locked_database(registry: Registry, home: Path) -> None:
    """While another program locks the database, a promotion is one clear error and the champion stays; afterwards a
    promotion works."""
    version = registry.find(2)
    with sqlite3.connect(home / "mlflow" / "mlflow.db") as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(DigitflowError, match=r"the model registry .* cannot be used: .*locked"):
            registry.promote(version, "in vain", 1)
        other.rollback()
    assert champion(registry) == 1
    registry.promote(version, "now", 1)
    assert champion(registry) == 2


def seen(registry: Registry) -> list[tuple[int | None, int | None, str]]:
    return [(change.version, change.replaced, change.kind) for change in registry.history("digits")]


def test_alias_moved_in_mlflow(registry: Registry) -> None:
    """A champion that was set in MLflow is the champion. The history tells it once, from when it was seen, and what was
    before stays as it was."""
    before = datetime.now(UTC)
    registry.tracking.client.set_registered_model_alias("digitflow-digits", "champion", "3")
    assert champion(registry) == 3
    assert seen(registry) == seen(registry) == [(1, None, "promotion"), (3, 1, "outside")]
    first, outside = registry.history("digits")
    assert first.took_effect and outside.took_effect and first.at < before < outside.at
    assert registry.predecessor("digits") == 1


def test_alias_moved_to_and_fro(registry: Registry) -> None:
    """Each change in MLflow that was seen stays in the history, also after it was taken back."""
    for number in ("2", "1"):
        registry.tracking.client.set_registered_model_alias("digitflow-digits", "champion", number)
        registry.observe("digits")
    assert seen(registry) == [(1, None, "promotion"), (2, 1, "outside"), (1, 2, "outside")]


@pytest.mark.parametrize("what", ["the alias", "the version"])
def test_champion_removed_in_mlflow(what: str, registry: Registry) -> None:
    """Without its alias or its version there is no champion. One can go back to it if it is still there, else to the
    one before."""
    registry.promote(registry.find(2), "better", 1)
    client, name = registry.tracking.client, "digitflow-digits"
    client.delete_registered_model_alias(name, "champion") if what == "the alias" else client.delete_model_version(
        name, "2"
    )
    assert registry.champion("digits") is None
    assert seen(registry)[-1] == (None, 2, "outside")
    back = registry.predecessor("digits")
    assert back == (2 if what == "the alias" else 1)
    registry.promote(registry.find(back), "back", None, kind="rollback")
    assert champion(registry) == back
    assert all(change.took_effect for change in registry.history("digits"))


def test_retire(registry: Registry) -> None:
    """A retired champion is no champion and nothing to go back to, until it is promoted again."""
    registry.promote(registry.find(2), "better", 1)
    registry.retire("digits", "reads sevens as ones")
    assert registry.champion("digits") is None
    assert seen(registry)[-1] == (None, 2, "retired")
    assert registry.predecessor("digits") == 1
    with pytest.raises(UsageError, match="no champion to retire"):
        registry.retire("digits", "again")
    for number, replaced in ((2, None), (3, 2)):
        registry.promote(registry.find(number), "it was right", replaced, kind="forced")
    assert registry.predecessor("digits") == 2


def test_retire_needs_no_readable_record(registry: Registry) -> None:
    """The only version can be retired although its record is unreadable: that is when it is needed."""
    break_record(registry, 1)
    registry.retire("digits", "made by other code")
    assert registry.champion("digits") is None


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


def test_damaged_history(registry: Registry) -> None:
    """A note of a promotion that cannot be read is one clear error."""
    client = registry.tracking.client
    client.set_registered_model_tag("digitflow-digits", "promotion.000002", "oops")
    with pytest.raises(DigitflowError, match="history of digits is damaged"):
        registry.history("digits")


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
