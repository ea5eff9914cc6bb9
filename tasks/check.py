"""Decide whether a model is good enough to be saved for use."""

from artifacts.datasets import Split
from artifacts.errors import UsageError
from artifacts.evaluation import Evaluation
from artifacts.gate import Gate, Rehearsal, decide
from artifacts.results import Rival, Scored
from artifacts.store import Ref, Store
from tasks.caching import step


@step("check-gate", shaped_by=("scipy",))
def check_gate(
    scored: Scored, test: Split, rehearsed: Ref | None, rival: Rival | None, gate: Gate, store: Store
) -> Ref:
    """Hold what was scored on `test` and rehearsed against the gate; the result is a `Verdict` as JSON.

    A rejection is no error. Raises UsageError if the rival was tested on other images.
    """
    if rival and rival.images != test.images:
        raise UsageError(f"the run {rival.run} was tested on other images; name one of the same data set")
    verdict = decide(
        gate,
        Evaluation.model_validate(store.get_json(scored.evaluation)),
        store.get(scored.probabilities),
        store.get(test.labels),
        Rehearsal.model_validate(store.get_json(rehearsed)) if rehearsed else None,
        (rival.run, store.get(rival.probabilities)) if rival else None,
    )
    return store.put_json(verdict.model_dump(mode="json"))
