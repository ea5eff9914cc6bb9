"""What became of a batch is said in words, and which versions learned from it is read from the runs."""

from datetime import UTC, datetime

import pytest

from artifacts.errors import UsageError
from artifacts.lineage.cache_key import StepCall
from artifacts.lineage.manifest import Manifest, StepRecord
from artifacts.storage.store import Ref
from tasks.data.datasets import Split
from tasks.retraining.judgement.drift import Drift
from tasks.retraining.ledger import content_digest
from tasks.retraining.states import BatchState, find_batch, versions_by_batch

LABELS = Ref(sha256="f" * 64, kind="npy", shape=(2,))
PARTS = [Split(images=Ref(sha256=f"{i}" * 64, kind="npy", shape=(2, 8, 8)), labels=LABELS) for i in range(3)]
DIGESTS = [content_digest(part) for part in PARTS]


def run(version: int | None, *parts: int, registry: str = "local", dataset: str = "digits") -> Manifest:
    """A run that learned from these parts."""
    inputs = {"batches": [PARTS[i].model_dump(mode="json") for i in parts]}
    call = StepCall(task="merge", inputs=inputs, code={}, libraries={})
    step = StepRecord(name="merge", cached=False, seconds=0, key="", call=call, result=None)
    fields = {"recipe": "tutorial", "seed": 0, "hyperparameters": {}, "gate": {}, "started": datetime.now(UTC)}
    return Manifest(run="r", dataset=dataset, registry=registry, version=version, steps=[step], **fields)


def test_versions_by_batch() -> None:
    """A version learned from the batches that its run merged, of one data set and in one registry, if the run ended."""
    runs = [
        *(run(1, 0), run(2, 0, 1), run(2, 0, 1), run(None, 2)),
        *(run(3, 2, registry="http://elsewhere"), run(4, 0, dataset="letters")),
    ]
    assert versions_by_batch(runs, "local") == {
        ("digits", DIGESTS[0]): {1, 2},
        ("digits", DIGESTS[1]): {2},
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
