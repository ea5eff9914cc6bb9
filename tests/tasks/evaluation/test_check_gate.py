"""The step stores its verdict, and a rejection is not an error."""

import numpy as np
import pytest

from artifacts.storage.store import Ref, Store
from tasks.data.datasets import Split
from tasks.evaluation.check_gate import check_gate
from tasks.evaluation.checks import apply_gate
from tasks.evaluation.evaluate import Scored
from tasks.evaluation.gate import Baseline, Gate, SmokeTest, Verdict
from tasks.evaluation.metrics import measure
from tasks.evaluation.save_weights import Saved

LABELS = np.array([0, 0, 1, 0], np.uint8)
PREDICTED = np.eye(2, dtype=np.float32)[[0, 0, 1, 1]]
MEASURED = SmokeTest(weights_bytes=100, latency_ms=1.5, throughput=1000.0)


def parts(store: Store) -> tuple[Scored, Split]:
    evaluation = store.put_json(measure(PREDICTED, LABELS).model_dump(mode="json"))
    test = Split(images=store.put(np.zeros((4, 8, 8), np.uint8)), labels=store.put(LABELS))
    return Scored(evaluation=evaluation, probabilities=store.put(PREDICTED)), test


def saved(store: Store) -> Saved:
    return Saved(weights=store.put_bytes(b"weights", "weights.h5"), smoke_test=store.put_json(MEASURED.model_dump()))


def check(
    store: Store,
    scored: Scored,
    test: Split,
    *,
    baseline: Baseline,
    gate: Gate,
    baseline_probabilities: Ref | None = None,
    counts_on_new_images: Ref | None = None,
) -> Verdict:
    verdict = check_gate.fn(
        scored,
        test,
        saved(store),
        baseline=baseline,
        baseline_probabilities=baseline_probabilities,
        counts_on_new_images=counts_on_new_images,
        gate=gate,
        store=store,
    )
    return Verdict.model_validate(store.get_json(verdict))


@pytest.mark.parametrize(("threshold", "passed"), [(0.75, True), (0.76, False)])
def test_verdict_is_stored(threshold: float, passed: bool, store: Store) -> None:
    """The step stores the verdict of `apply_gate`; a rejection raises nothing."""
    scored, test = parts(store)
    gate, nobody = Gate(min_accuracy=threshold), Baseline(absence="no champion yet")
    verdict = check(store, scored, test, baseline=nobody, gate=gate)
    evaluation = measure(PREDICTED, LABELS)
    assert verdict == apply_gate(gate, evaluation, PREDICTED, labels=LABELS, smoke_test=MEASURED, baseline=nobody)
    assert verdict.passed == passed


def test_comparison_with_the_champion(store: Store) -> None:
    """Given the champion's probabilities, the verdict has a check against the champion, and says what came of it."""
    scored, test = parts(store)
    probabilities = store.put(np.eye(2, dtype=np.float32)[LABELS])
    baseline = Baseline(version=7, weights=probabilities, test_set_uses=3)
    gate = Gate(min_accuracy=0.1)
    verdict = check(store, scored, test, baseline=baseline, gate=gate, baseline_probabilities=probabilities)
    assert not verdict.passed and "version 7 (0 gained, 1 lost of 4)" in verdict.checks[-1].name
    below = "accuracy is 25.00 points below version 7"
    assert verdict.reason == f"{below}, a loss of 50 points cannot be ruled out (p = 0.16)"
    strict = check(
        *(store, scored, test),
        baseline=baseline,
        gate=Gate(min_accuracy=0.1, margin=0.2),
        baseline_probabilities=probabilities,
    )
    assert strict.reason.startswith(f"{below}, more than the 20 points that it may lose (p = ")
    equal = check(store, scored, test, baseline=baseline, gate=gate, baseline_probabilities=scored.probabilities)
    assert "accuracy is equal to version 7, " in equal.checks[-1].words
    superior = Gate(min_accuracy=0.1, against_champion="superior")
    chance = check(store, scored, test, baseline=baseline, gate=superior, baseline_probabilities=probabilities)
    assert chance.reason == f"{below}, which may be chance (p = 1)"
    assert verdict.baseline == baseline


def test_new_holdout(store: Store) -> None:
    """Given the counts on held-out new images, the verdict has a check that rejects a model shown to be worse there."""
    scored, test = parts(store)
    baseline, gate, counts = Baseline(version=7), Gate(min_accuracy=0.1), store.put_json([1, 20, 100])
    verdict = check(store, scored, test, baseline=baseline, gate=gate, counts_on_new_images=counts)
    assert not verdict.passed and "version 7 on new images (1 gained, 20 lost of 100)" in verdict.checks[-1].name
    assert verdict.reason.endswith("below version 7 on new images, which is worse than chance explains (p < 0.0001)")
