"""The verdict is stored, whatever it is."""

import numpy as np
import pytest

from artifacts.storage.store import Store
from tasks.data.datasets import Split
from tasks.evaluation.check_gate import check_gate
from tasks.evaluation.evaluate import Scored
from tasks.evaluation.gate import Baseline, Gate, SmokeTest, Verdict, decide
from tasks.evaluation.metrics import measure
from tasks.evaluation.save_weights import Saved

LABELS = np.array([0, 0, 1, 0], np.uint8)
GUESSES = np.eye(2, dtype=np.float32)[[0, 0, 1, 1]]
REHEARSAL = SmokeTest(weights_bytes=100, latency_ms=1.5, throughput=1000.0)


def parts(store: Store) -> tuple[Scored, Split]:
    evaluation = store.put_json(measure(GUESSES, LABELS).model_dump(mode="json"))
    test = Split(images=store.put(np.zeros((4, 8, 8), np.uint8)), labels=store.put(LABELS))
    return Scored(evaluation=evaluation, probabilities=store.put(GUESSES)), test


def saved(store: Store) -> Saved:
    return Saved(weights=store.put_bytes(b"weights", "weights.h5"), rehearsal=store.put_json(REHEARSAL.model_dump()))


@pytest.mark.parametrize(("threshold", "passed"), [(0.75, True), (0.76, False)])
def test_verdict_is_stored(threshold: float, passed: bool, store: Store) -> None:
    """The task stores the verdict of `decide`; a rejection raises nothing."""
    scored, test = parts(store)
    gate, nobody = Gate(min_accuracy=threshold), Baseline(absence="no champion yet")
    verdict = Verdict.model_validate(
        store.get_json(check_gate.fn(scored, test, saved(store), nobody, None, None, gate, store))
    )
    assert verdict == decide(gate, measure(GUESSES, LABELS), GUESSES, LABELS, REHEARSAL, nobody)
    assert verdict.passed == passed


def test_champion_is_held_against(store: Store) -> None:
    """Given the champion's probabilities, the verdict has a check against it, by its version."""
    scored, test = parts(store)
    theirs = store.put(np.eye(2, dtype=np.float32)[LABELS])
    opponent = Baseline(version=7, weights=theirs, decisions=3)
    told = Verdict.model_validate(
        store.get_json(check_gate.fn(scored, test, saved(store), opponent, theirs, None, Gate(min_accuracy=0.1), store))
    )
    assert not told.passed and "version 7 (0 gained, 1 lost of 4)" in told.reason
    assert told.opponent == opponent
