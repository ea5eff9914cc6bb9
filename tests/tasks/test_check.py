"""The verdict is stored, whatever it is."""

import numpy as np
import pytest

from artifacts.datasets import Split
from artifacts.errors import UsageError
from artifacts.evaluation import measure
from artifacts.gate import Gate, Rehearsal, Verdict, decide
from artifacts.results import Rival, Scored
from artifacts.store import Store
from tasks.check import check_gate

LABELS = np.array([0, 0, 1, 0], np.uint8)
GUESSES = np.eye(2, dtype=np.float32)[[0, 0, 1, 1]]
REHEARSAL = Rehearsal(weights_bytes=100, latency_ms=1.5, throughput=1000.0)


def parts(store: Store) -> tuple[Scored, Split]:
    evaluation = store.put_json(measure(GUESSES, LABELS).model_dump(mode="json"))
    test = Split(images=store.put(np.zeros((4, 8, 8), np.uint8)), labels=store.put(LABELS))
    return Scored(evaluation=evaluation, probabilities=store.put(GUESSES)), test


@pytest.mark.parametrize(("threshold", "passed"), [(0.75, True), (0.76, False)])
def test_verdict_is_stored(threshold: float, passed: bool, store: Store) -> None:
    """The task stores the verdict of `decide`; a rejection raises nothing."""
    scored, test = parts(store)
    gate, rehearsed = Gate(min_accuracy=threshold), store.put_json(REHEARSAL.model_dump())
    verdict = Verdict.model_validate(store.get_json(check_gate.fn(scored, test, rehearsed, None, gate, store)))
    assert verdict == decide(gate, measure(GUESSES, LABELS), GUESSES, LABELS, REHEARSAL)
    assert verdict.passed == passed


def test_rival_on_other_images_is_refused(store: Store) -> None:
    """A rival that was tested on other images cannot be compared with, and the error names its run."""
    scored, test = parts(store)
    rival = Rival(run="earlier", images=store.put(np.ones(1)), probabilities=scored.probabilities)
    with pytest.raises(UsageError, match="earlier was tested on other images"):
        check_gate.fn(scored, test, store.put_json(REHEARSAL.model_dump()), rival, Gate(), store)
