"""What became of a batch is said in words, and which versions learned from it is read from the runs."""

from datetime import UTC, datetime

import pytest

from artifacts.errors import UsageError
from artifacts.lineage.cache_key import StepCall
from artifacts.lineage.manifest import Manifest, StepRecord
from artifacts.storage.store import Ref, Store
from tasks.data.datasets import Split
from tasks.monitoring.drift import Drift
from tasks.registry.registry import Registry
from tasks.retraining.ledger import content_digest
from tasks.retraining.states import BatchState, find_batch, versions_by_batch
from tests.tasks.registry.conftest import register

LABELS = Ref(sha256="f" * 64, kind="npy", shape=(2,))
PARTS = [Split(images=Ref(sha256=f"{i}" * 64, kind="npy", shape=(2, 8, 8)), labels=LABELS) for i in range(3)]
DIGESTS = [content_digest(part) for part in PARTS]


def run(store: Store, name: str, *parts: int, version: int | None = None, **fields: str) -> None:
    """Leave the manifest of a run that learned from these parts."""
    inputs = {"batches": [PARTS[i].model_dump(mode="json") for i in parts]}
    call = StepCall(task="merge", inputs=inputs, code={}, libraries={})
    step = StepRecord(name="merge", cached=False, seconds=0, key="", call=call, result=None)
    plain = {
        "dataset": "digits",
        "registry": "local",
        "recipe": "tutorial",
        "seed": 0,
        "hyperparameters": {},
        "gate": {},
    }
    manifest = Manifest(run=name, version=version, steps=[step], started=datetime.now(UTC), **plain | fields)
    store.write(f"runs/{name}/manifest.json", manifest.model_dump_json().encode())


def test_versions_by_batch(store: Store) -> None:
    """A version learned from the batches that its run merged, of one data set and in one registry. A run that was
    suspended before its manifest named the version is known by the version."""
    for number, parts in ((1, (0,)), (2, (0, 1))):
        run(store, f"a{number}", *parts, version=number)
        run(store, f"b{number}", *parts, version=number)
    run(store, "unfinished", 2)
    run(store, "elsewhere", 2, version=3, registry="http://elsewhere")
    run(store, "letters", 0, version=4, dataset="letters")
    run(store, "run-5", 1)  # the registry's first version, of seed 5, names it
    assert register(store, 5).version == 1
    assert {
        batch: versions for batch, versions in versions_by_batch(store, Registry(store.home)).items() if versions
    } == {
        ("digits", DIGESTS[0]): {1, 2},
        ("digits", DIGESTS[1]): {1, 2},
        ("letters", DIGESTS[0]): {4},
    }


def test_drift_in_words() -> None:
    """What drifted is named with its index; without drift that is said, and without a measurement nothing is."""
    measured = [Drift(statistic=name, index=index, threshold=0.25) for name, index in (("mean", 0.1), ("label", 0.5))]
    for drift, words in ((measured, "label 0.50"), (measured[:1], "none"), ((), "")):
        assert BatchState(batch="a", state="accepted", drift=drift).drifted == words


def test_a_name_that_came_again() -> None:
    """Of a withdrawn batch and a later one of the same name, the later one is meant; corrections are no batch."""
    states = [BatchState(batch="a", state="withdrawn"), BatchState(batch="a", state="waiting")]
    assert find_batch("a", states).state == "waiting" and find_batch("a", states[:1]).state == "withdrawn"
    with pytest.raises(UsageError, match="there is no batch 'a'; see"):
        find_batch("a", [BatchState(batch="a", state="collecting")])
