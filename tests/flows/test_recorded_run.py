"""A run's name is one part of a path, and pruning keeps what runs and accepted batches need."""

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifacts.errors import DigitflowError
from artifacts.lineage.cache_key import StepCall
from artifacts.lineage.manifest import Run, is_alive, manifests
from artifacts.storage.eviction import survey
from artifacts.storage.settings import Settings
from artifacts.storage.store import Store
from flows.recorded_run import prune_home, slug
from tasks.data.datasets import Split
from tasks.retraining.ledger import Batch, write_ledger
from tests.artifacts.storage.test_eviction import aged, there

FIELDS = {"dataset": "d", "recipe": "r", "seed": 0, "hyperparameters": {}, "gate": {}}


@pytest.fixture
def settings(store: Store) -> Settings:
    return Settings(home=store.home)


@given(st.text(max_size=200))
def test_a_slug_is_one_part_of_a_path(name: str) -> None:
    """A slug is never empty, never longer than 64 letters, and names no other folder."""
    part = slug(name)
    assert 0 < len(part) <= 64 and Path(part).name == part and part not in (".", "..")


def test_finished_run(store: Store, settings: Settings) -> None:
    """The report, verdict and weights of a finished run stay whatever the limit; its arrays may be evicted."""
    page, array = store.put_bytes(b"<html>", "html"), aged(store, 1, 9)
    with Run.recording(store, run="one", **FIELDS) as run:
        result = {"page": page.model_dump(mode="json"), "array": array.model_dump(mode="json")}
        run.note(StepCall(task="t", inputs={}, code={}, libraries={}), False, 0.0, result)
        run.finish("passed")
    prune_home(settings, max_bytes=0)
    assert there(store, page, array) == [True, False]


def test_damaged_manifest(store: Store, settings: Settings) -> None:
    """While a manifest cannot be read, the needs of its run are unknown, so all reports and weights stay."""
    page, weights, array = store.put_bytes(b"<html>", "html"), store.put_bytes(b"w", "weights.h5"), aged(store, 1, 9)
    store.write("runs/one/manifest.json", b'{"schema_version": 1, "ru')
    prune_home(settings, max_bytes=0)
    assert there(store, page, weights, array) == [True, True, False]


def test_running_run(store: Store, settings: Settings) -> None:
    """Whatever a running run has made or used is not evicted, whatever the limits; afterwards it may be."""
    before, unused = aged(store, 1, 9), aged(store, 2, 9)
    with Run.recording(store, run="one", **FIELDS):
        store.get(before)
        made = store.put(np.zeros(10))
        pruned = prune_home(settings, max_bytes=0, older_than=0.0)
        assert there(store, before, made, unused) == [True, True, False]
        assert pruned.needed == pruned.left
    prune_home(settings, max_bytes=0)
    assert there(store, before, made) == [False, False]


def test_killed_run(store: Store, settings: Settings) -> None:
    """A run whose process was killed is not alive, and its artifacts may be evicted."""
    code = (
        "import os, signal, sys; from pathlib import Path; from artifacts.storage.store import Store; "
        "from artifacts.lineage.manifest import Run\n"
        f"with Run.recording(Store(Path(sys.argv[1])), run='killed', **{FIELDS!r}):\n"
        "    Store(Path(sys.argv[1])).put_json([1]); os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code, store.home], check=False)
    assert not is_alive(store, next(manifests(store)))
    prune_home(settings, max_bytes=0)
    assert survey(store) == []


def test_accepted_batch(store: Store, settings: Settings) -> None:
    """The arrays of an accepted batch stay whatever the limit."""
    images, labels, other = aged(store, 1, 9), aged(store, 2, 9), aged(store, 3, 9)
    data = Split(images=images, labels=labels)
    write_ledger("d", [Batch(name="b", digest="0", data=data, added=datetime.now(UTC), drift=())], store)
    prune_home(settings, max_bytes=0, older_than=0.0)
    assert there(store, images, labels, other) == [True, True, False]


def test_damaged_ledger(store: Store, settings: Settings) -> None:
    """While a ledger of batches cannot be read, nothing is evicted."""
    array = aged(store, 1, 9)
    store.write("batches/d.json", b"[")
    with pytest.raises(DigitflowError, match="damaged"):
        prune_home(settings, max_bytes=0)
    assert there(store, array) == [True]
