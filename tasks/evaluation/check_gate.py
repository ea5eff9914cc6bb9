"""Decide whether a model is good enough to be used."""

from artifacts.storage.store import Ref, Store
from tasks.caching import step
from tasks.data.datasets import Split
from tasks.evaluation.evaluate import Scored
from tasks.evaluation.gate import Gate, Opponent, Rehearsal, decide
from tasks.evaluation.metrics import Evaluation
from tasks.evaluation.save_weights import Saved


@step("check-gate", shaped_by=("scipy",))
def check_gate(
    scored: Scored,
    test: Split,
    saved: Saved,
    opponent: Opponent,
    theirs: Ref | None,
    fresh: Ref | None,
    gate: Gate,
    store: Store,
) -> Ref:
    """Hold what was scored on `test` and rehearsed against the gate, against the opponent's probabilities `theirs`
    on the same images, and against what `evaluate_fresh` counted; the result is a `Verdict` as JSON. A rejection is no
    error.
    """
    verdict = decide(
        gate,
        Evaluation.model_validate(store.get_json(scored.evaluation)),
        store.get(scored.probabilities),
        store.get(test.labels),
        Rehearsal.model_validate(store.get_json(saved.rehearsal)),
        opponent,
        store.get(theirs) if theirs else None,
        store.get_json(fresh) if fresh else None,
    )
    return store.put_json(verdict.model_dump(mode="json"))
