"""Eviction takes what is old and unneeded, and nothing else."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from artifacts.lineage.manifest import Run, is_alive, manifests
from artifacts.lineage.step_call import StepCall
from artifacts.storage.eviction import prune, survey
from artifacts.storage.store import Ref, Store

FACTS = {"dataset": "d", "recipe": "r", "seed": 0, "hyperparameters": {}, "gate": {}}
DAY = 86400.0


def _aged(store: Store, value: int, days: float, size: int = 1000) -> Ref:
    """An array of `size` bytes that was last used some days ago."""
    ref = store.put(np.full(size, value, np.uint8))
    path = store.home / "objects" / ref.name
    os.utime(path, (time.time() - days * DAY, path.stat().st_mtime))
    return ref


def _there(store: Store, *refs: Ref) -> list[bool]:
    return [(store.home / "objects" / ref.name).exists() for ref in refs]


def test_least_recently_used_goes_first(store: Store) -> None:
    """With a size limit, the artifacts that were not used for longest go, and no more than needed."""
    old, middle, new = _aged(store, 1, 3), _aged(store, 2, 2), _aged(store, 3, 1)
    pruned = prune(store, max_bytes=2 * 1200)
    assert _there(store, old, middle, new) == [False, True, True]
    assert pruned.evicted == 1 and pruned.left == sum(usage.bytes for usage in survey(store))


def test_age(store: Store) -> None:
    """With an age limit, what was used since stays."""
    old, new = _aged(store, 1, 31), _aged(store, 2, 29)
    prune(store, older_than=30 * DAY)
    assert _there(store, old, new) == [False, True]


def test_use_renews(store: Store) -> None:
    """Reading an artifact makes it the most recently used."""
    read, unread = _aged(store, 1, 9), _aged(store, 2, 1)
    store.get(read)
    prune(store, max_bytes=1200)
    assert _there(store, read, unread) == [True, False]


def test_kept_run(store: Store) -> None:
    """A kept run's report, verdict and weights stay whatever the limit; its arrays may go."""
    page, array = store.put_bytes(b"<html>", "html"), _aged(store, 1, 9)
    with Run.recording(store, run="one", **FACTS) as run:
        result = {"page": page.model_dump(mode="json"), "array": array.model_dump(mode="json")}
        run.note(StepCall(task="t", inputs={}, code={}, libraries={}), False, 0.0, result)
        run.finish("passed")
    prune(store, max_bytes=0)
    assert _there(store, page, array) == [True, False]


def test_damaged_manifest(store: Store) -> None:
    """While a manifest cannot be read, nobody knows what its run needs: reports and weights stay, arrays may go."""
    page, weights, array = store.put_bytes(b"<html>", "html"), store.put_bytes(b"w", "weights.h5"), _aged(store, 1, 9)
    store.write("runs/one/manifest.json", b'{"schema_version": 1, "ru')
    prune(store, max_bytes=0)
    assert _there(store, page, weights, array) == [True, True, False]


def test_run_under_way(store: Store) -> None:
    """What a run under way has made or used is not evicted under any pressure."""
    before, unused = _aged(store, 1, 9), _aged(store, 2, 9)
    with Run.recording(store, run="one", **FACTS):
        store.get(before)
        made = store.put(np.zeros(10))
        pruned = prune(store, max_bytes=0, older_than=0.0)
        assert _there(store, before, made, unused) == [True, True, False]
        assert pruned.needed == pruned.left
    prune(store, max_bytes=0)
    assert _there(store, before, made) == [False, False]


def test_killed_run_holds_nothing(store: Store) -> None:
    """A run whose process was killed is not alive, and no longer keeps artifacts."""
    code = (
        "import os, signal, sys; from pathlib import Path; from artifacts.storage.store import Store; "
        "from artifacts.lineage.manifest import Run\n"
        f"with Run.recording(Store(Path(sys.argv[1])), run='killed', **{FACTS!r}):\n"
        "    Store(Path(sys.argv[1])).put_json([1]); os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code, store.home], check=False)
    assert not is_alive(store, next(manifests(store)))
    prune(store, max_bytes=0)
    assert survey(store) == []


def test_survey(store: Store) -> None:
    """The survey counts files and bytes of each kind."""
    store.put_json([1, 2])
    store.put(np.zeros(3))
    store.put(np.ones(3))
    assert {usage.kind: usage.files for usage in survey(store)} == {"json": 1, "npy": 2}
    assert sum(u.bytes for u in survey(store)) == sum(p.stat().st_size for p in (store.home / "objects").glob("*/*"))


@pytest.mark.parametrize("folder", ["gone", "empty"])
def test_nothing_there(tmp_path: Path, folder: str) -> None:
    """An empty store is surveyed and pruned like any other."""
    store = Store(tmp_path / folder)
    assert survey(store) == [] and prune(store, max_bytes=0).evicted == 0
