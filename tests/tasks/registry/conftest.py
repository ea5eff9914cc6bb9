"""A home with three versions of `digits`, in a real MLflow database."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from artifacts.storage.store import Ref, Store
from tasks.evaluation.gate import Baseline
from tasks.model.hyperparameters import Hyperparameters
from tasks.registry.registry import Registry
from tasks.registry.versions import RECORD, Candidate, LoggedDataset, Package, UnreadableVersion, Version

EXAMPLE = np.zeros((1, 8, 8, 1), np.float32)
HP = Hyperparameters(filters=(2,))
TEST = "ab" * 32
IMAGES = Ref(sha256="cd" * 32, kind="npy", shape=(60, 8, 8), dtype="uint8")
PACKAGE = Package(
    {"loss": [2.0, 1.0]},
    EXAMPLE,
    {"report.html": b"<p>card</p>"},
    metrics={"test_loss": 0.5, "fit_seconds": 1.5},
    datasets=[LoggedDataset("digits", "training", IMAGES, "https://example.org/digits")],
    started=datetime(2026, 1, 1, tzinfo=UTC),
    source="flows/training.py",
    commit="ab" * 20,
)


def weights(store: Store, seed: int) -> Ref:
    from tasks.model.network import build_network

    with store.scratch() as folder:
        build_network(HP, (8, 8, 1), 10, seed=seed).save_weights(folder / "network.weights.h5")
        return store.put_bytes((folder / "network.weights.h5").read_bytes(), "weights.h5")


def candidate(ref: Ref, **fields: object) -> Candidate:
    """A candidate for `digits` that passed, with the given fields changed."""
    plain = {
        "dataset": "digits",
        "recipe": "tutorial",
        "seed": 0,
        "accuracy": 0.9,
        "passed": True,
        "reason": "because",
        "run": "run-0",
        "weights": ref,
        "test": TEST,
        "hyperparameters": HP,
        "image_shape": (8, 8),
        "classes": 10,
        "baseline": Baseline(absence="no champion yet"),
    }
    return Candidate.model_validate(plain | fields)


def register(store: Store, seed: int, passed: bool = True, dataset: str = "digits") -> Version:
    """Register the network of a seed."""
    made = candidate(weights(store, seed), seed=seed, run=f"run-{seed}", passed=passed, dataset=dataset)
    return Registry(store.home).register(made, PACKAGE, store)


@pytest.fixture(scope="session")
def three(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with versions 1, 2 and 3 of `digits`; 3 was rejected, 1 is champion."""
    store = Store(tmp_path_factory.mktemp("three"))
    first = register(store, 1)
    register(store, 2)
    register(store, 3, passed=False)
    Registry(store.home).promote(first, "the first", None, run="run-1")
    return store.home


@pytest.fixture
def registry(three: Path, home: Path) -> Registry:
    shutil.copytree(three, home)
    return Registry(home)


def champion(registry: Registry) -> int:
    """The number of the champion of `digits`, which has one."""
    version = registry.champion("digits")
    assert version is not None
    return version.version


def readable(registry: Registry, dataset: str | None = None) -> list[Version]:
    """The versions, all of which are readable."""
    versions = registry.versions(dataset)
    assert not [version for version in versions if isinstance(version, UnreadableVersion)]
    return [version for version in versions if isinstance(version, Version)]


def break_record(registry: Registry, number: int, record: str | None = None) -> None:
    """Give a version a hyperparameter that nobody knows, or another record."""
    if record is None:
        record = registry.find(number).to_record().replace('"epochs"', '"momentum": 0.9, "epochs"')
    registry.tracking.client.set_model_version_tag("digitflow-digits", str(number), RECORD, record)
