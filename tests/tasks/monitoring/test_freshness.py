"""A champion is confirmed when it becomes champion, and by each run that comes to no other."""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from artifacts.lineage.manifest import Manifest
from artifacts.storage.store import Store
from tasks.monitoring.freshness import confirms, last_confirmations
from tasks.registry.registry import Registry
from tests.tasks.registry.conftest import register

NOW = datetime(2026, 11, 26, tzinfo=UTC)
COMPARED = {"version": 1, "weights": {"sha256": "ab" * 32, "kind": "weights.h5"}}
NOT_COMPARED = {"version": 1, "weights": None, "absence": "not held against the champion, as the gate asks"}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with versions 1 and 2 of `digits`; 1 is champion."""
    store = Store(tmp_path_factory.mktemp("freshness") / "home")
    first, _ = register(store, 1), register(store, 2)
    Registry(store.home).promote(first, "the first", None)
    return store.home


@pytest.fixture
def registry(template: Path, home: Path) -> Registry:
    shutil.copytree(template, home)
    return Registry(home)


def run_of(**fields: object) -> Manifest:
    """A run of `digits` that ended at NOW."""
    plain = {"run": "r", "dataset": "digits", "recipe": "tutorial", "seed": 0, "hyperparameters": {}, "gate": {}}
    times = {"started": NOW, "ended": NOW, "registry": "local"}
    return Manifest.model_validate(plain | times | fields)


@pytest.mark.parametrize(
    ("fields", "is_confirmed"),
    [
        ({"status": "passed", "version": 1}, True),
        ({"status": "rejected", "version": 2, "baseline": COMPARED}, True),
        ({"status": "passed", "version": 2, "baseline": COMPARED}, True),
        ({"status": "rejected", "version": 2, "baseline": COMPARED | {"version": 3}}, False),
        ({"status": "rejected", "version": 2, "baseline": NOT_COMPARED}, False),
        ({"status": "rejected", "version": 2}, False),
        ({"status": "failed", "version": 1}, False),
        ({"status": "stopped"}, False),
    ],
)
def test_confirms(fields: dict[str, object], is_confirmed: bool) -> None:
    """A run confirms the champion 1 if it trained it again, or held another against it; no run confirms none."""
    run = run_of(**fields)
    assert (confirms(run, 1), confirms(run, None)) == (is_confirmed, False)


def test_last_confirmations(registry: Registry) -> None:
    """The last confirmation is the promotion, or a later run of that data set and registry."""
    (promoted,) = last_confirmations(registry, [])
    assert promoted == ("digits", 1, registry.history("digits")[0].at)
    later = promoted.at + timedelta(days=3)
    others = [
        run_of(status="passed", version=1, ended=later, dataset="letters"),
        run_of(status="passed", version=1, ended=later, registry="http://elsewhere"),
        run_of(status="failed", version=1, ended=later),
    ]
    assert last_confirmations(registry, others) == [promoted]
    runs = [run_of(status="passed", version=1, ended=later - timedelta(days=day)) for day in (1, 0, 2)]
    assert last_confirmations(registry, others + runs) == [promoted._replace(at=later)]


def test_a_champion_set_outside(registry: Registry) -> None:
    """Of a champion that was set in MLflow, its creation is known; looking at it records nothing."""
    client, before = registry.tracking.client, registry.history("digits")
    client.set_registered_model_alias("digitflow-digits", "champion", "2")
    (found,) = last_confirmations(registry, [])
    assert found == ("digits", 2, registry.find(2).created)
    client.set_registered_model_alias("digitflow-digits", "champion", "1")
    assert registry.history("digits") == before
