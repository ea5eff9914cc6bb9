"""The verdict is stored, whatever it is."""

import numpy as np
import pytest

from artifacts.evaluation import measure
from artifacts.gate import Gate, Verdict, decide
from artifacts.store import Store
from tasks.check import check_gate


@pytest.mark.parametrize(("threshold", "passed"), [(0.75, True), (0.76, False)])
def test_verdict_is_stored(threshold: float, passed: bool, store: Store) -> None:
    """The task stores the verdict of `decide`; a rejection raises nothing."""
    evaluation = measure(np.eye(2, dtype=np.float32)[[0, 0, 1, 1]], np.array([0, 0, 1, 0], np.uint8))
    gate = Gate(min_accuracy=threshold)
    verdict = check_gate.fn(store.put_json(evaluation.model_dump(mode="json")), gate, store)
    assert Verdict.model_validate(store.get_json(verdict)) == decide(evaluation, gate)
    assert decide(evaluation, gate).passed == passed
