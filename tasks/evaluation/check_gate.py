"""Decide whether a model is good enough to be used."""

from artifacts.storage.store import Ref, Store
from tasks.caching import step
from tasks.data.datasets import Split
from tasks.evaluation.evaluate import Scored
from tasks.evaluation.gate import Baseline, Gate, SmokeTest, decide
from tasks.evaluation.metrics import Evaluation
from tasks.evaluation.save_weights import Saved


@step("check-gate", shaped_by=("scipy",))
def check_gate(
    scored: Scored,
    test: Split,
    saved: Saved,
    opponent: Baseline,
    theirs: Ref | None,
    fresh: Ref | None,
    gate: Gate,
    store: Store,
) -> Ref:
    """Check a scored model against the gate; the result is a `Verdict` as JSON. A rejection is not an error.

    `theirs` are the baseline's probabilities for the same test images, `fresh` the counts of `evaluate_new_holdout`.
    """
    verdict = decide(
        gate,
        Evaluation.model_validate(store.get_json(scored.evaluation)),
        store.get(scored.probabilities),
        store.get(test.labels),
        SmokeTest.model_validate(store.get_json(saved.rehearsal)),
        opponent,
        store.get(theirs) if theirs else None,
        store.get_json(fresh) if fresh else None,
    )
    return store.put_json(verdict.model_dump(mode="json"))
