"""A data set of real digits, and new digits that are not in it."""

import tempfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from artifacts.storage.store import Store
from tasks.data.datasets import Splits
from tasks.data.images import rescale
from tasks.model.hyperparameters import Hyperparameters
from tasks.registry.versions import Version
from tasks.retraining.batch_judge import OnDrift
from tasks.retraining.collect import Arrivals, collect
from tests.conftest import Arrays
from tests.tasks.registry.conftest import candidate

LIMIT = 10**7
READER = Hyperparameters(filters=(16,), padding=("same",), dense=(32,), dropout=0, epochs=12, batch_size=32)

Batch = tuple[np.ndarray, np.ndarray]


@pytest.fixture
def base(store: Store, digits: Arrays) -> Splits:
    """1,000 training digits and 297 test digits."""
    train_x, train_y, test_x, test_y = digits
    return Splits.of(*map(store.put, (train_x[:1000], train_y[:1000], test_x, test_y)))


@pytest.fixture
def new_digits(digits: Arrays) -> Batch:
    """300 digits that are not in the base data."""
    return digits[0][1000:1300], digits[1][1000:1300]


@pytest.fixture(scope="session")
def reader(digits: Arrays) -> bytes:
    """The weights of a model with READER that learned from the training digits of `base` and reads most digits."""
    from tasks.training.fit import fit_network

    targets = np.eye(10, dtype=np.float32)[digits[1][:1000]]
    network, _ = fit_network(rescale(digits[0][:1000]), targets, READER, seed=0)
    with tempfile.TemporaryDirectory() as folder:
        network.save_weights(path := Path(folder) / "network.weights.h5")
        return path.read_bytes()


@pytest.fixture
def champion(store: Store, base: Splits, reader: bytes) -> Version:
    """Version 3 of `digits`, which reads most digits."""
    ref = store.put_bytes(reader, "weights.h5")
    fields = candidate(ref, hyperparameters=READER, test=base.test.images.sha256).model_dump()
    place = {"version": 3, "aliases": ("champion",), "created": datetime(2026, 1, 1, tzinfo=UTC), "mlflow_run": ""}
    return Version.model_validate(fields | place)


def npz(path: Path, images: np.ndarray, labels: np.ndarray, **arrays: object) -> Path:
    """Write a batch as .npz."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, images=images, labels=labels, **arrays)  # type: ignore[arg-type]
    return path


def judge(
    store: Store, base: Splits, on_drift: OnDrift = "accept", dataset: str = "digits", champion: Version | None = None
) -> Arrivals:
    """Judge all that is in the inbox."""
    options = {"champion": champion, "on_drift": on_drift, "store": store, "inbox": "", "max_bytes": LIMIT}
    return collect.fn(dataset, base, 10, **options)  # type: ignore[arg-type]
