"""A data set of real digits, and new digits that are not in it."""

from pathlib import Path

import numpy as np
import pytest

from artifacts.storage.store import Store
from tasks.data.datasets import Splits
from tasks.retraining.collect import Arrivals, OnDrift, judge_arrivals
from tests.conftest import Arrays

LIMIT = 10**7

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


def npz(path: Path, images: np.ndarray, labels: np.ndarray, **arrays: object) -> Path:
    """Write a batch as .npz."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, images=images, labels=labels, **arrays)  # type: ignore[arg-type]
    return path


def judge(store: Store, base: Splits, on_drift: OnDrift = "accept", dataset: str = "digits") -> Arrivals:
    """Judge all that is in the inbox."""
    return judge_arrivals(dataset, base, 10, on_drift=on_drift, store=store, max_bytes=LIMIT)
