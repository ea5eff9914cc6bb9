"""Decide whether a model is good enough to be used."""

from artifacts.storage.store import Ref, Store
from tasks.caching import step
from tasks.data.datasets import Split
from tasks.evaluation.checks import apply_gate
from tasks.evaluation.evaluate import Scored
from tasks.evaluation.gate import Baseline, Gate, SmokeTest
from tasks.evaluation.metrics import Evaluation
from tasks.evaluation.paired_tests import PairedCounts
from tasks.evaluation.save_weights import Saved


@step("check-gate", shaped_by=("scipy",))
def check_gate(
    scored: Scored,
    test: Split,
    saved: Saved,
    *,
    baseline: Baseline,
    baseline_probabilities: Ref | None,
    counts_on_new_images: Ref | None,
    gate: Gate,
    class_names: tuple[str, ...] = (),
    store: Store,
) -> Ref:
    """Check a scored model against the gate. The result is a `Verdict` as JSON; a rejection is not an error.

    `baseline_probabilities` are the baseline's for the same test images. `counts_on_new_images` are `PairedCounts` of
    held-out new images, as JSON.
    """
    verdict = apply_gate(
        gate,
        Evaluation.model_validate(store.get_json(scored.evaluation)),
        store.get(scored.probabilities),
        labels=store.get(test.labels),
        smoke_test=SmokeTest.model_validate(store.get_json(saved.smoke_test)),
        baseline=baseline,
        baseline_probabilities=store.get(baseline_probabilities) if baseline_probabilities else None,
        counts_on_new_images=PairedCounts(*store.get_json(counts_on_new_images)) if counts_on_new_images else None,
        class_names=class_names,
    )
    return store.put_json(verdict.model_dump(mode="json"))
