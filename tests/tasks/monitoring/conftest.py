"""Real digits that a version learned from, as its run recorded them, and new ones."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from artifacts.lineage.cache_key import StepCall
from artifacts.lineage.manifest import Manifest, StepRecord
from artifacts.storage.store import Ref, Store
from tasks.data.datasets import Splits
from tasks.monitoring.drift import Reference
from tasks.registry.versions import Version
from tests.conftest import Arrays
from tests.tasks.registry.conftest import candidate

Batch = tuple[np.ndarray, np.ndarray]


@pytest.fixture
def base(digits: Arrays) -> Batch:
    """1,000 training digits."""
    return digits[0][:1000], digits[1][:1000]


@pytest.fixture
def reference(base: Batch) -> Reference:
    return Reference.of(*base)


@pytest.fixture
def new_digits(digits: Arrays) -> Batch:
    """300 digits that are not among them."""
    return digits[0][1000:1300], digits[1][1000:1300]


@pytest.fixture
def manifest(store: Store, base: Batch, digits: Arrays) -> Manifest:
    """The record of the run `learned`, which trained on the 1,000 digits."""
    data = Splits.of(*map(store.put, (*base, *digits[2:])))
    call = StepCall(task="normalise-and-reshape", inputs={"data": data.model_dump(mode="json")}, code={}, libraries={})
    step = StepRecord(name=call.task, cached=False, seconds=1, key=call.key, call=call, result=None)
    plain: dict[str, Any] = {"dataset": "digits", "recipe": "tutorial", "seed": 0, "hyperparameters": {}, "gate": {}}
    return Manifest(run="learned", started=datetime.now(UTC), steps=[step], **plain)


@pytest.fixture
def version(store: Store, manifest: Manifest) -> Version:
    """Version 3 of `digits`, whose run has its manifest in the home."""
    store.write(f"runs/{manifest.run}/manifest.json", manifest.model_dump_json().encode())
    return version_of(manifest.run)


def version_of(run: str, mlflow_run: str = "gone") -> Version:
    """Version 3 of `digits`, which that run trained; `mlflow_run` has what MLflow keeps of it."""
    fields = candidate(Ref(sha256="ab" * 32, kind="weights.h5"), run=run).model_dump()
    place = {"version": 3, "aliases": ("champion",), "created": datetime.now(UTC), "mlflow_run": mlflow_run}
    return Version.model_validate(fields | place)
