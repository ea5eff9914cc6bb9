"""Decide whether a model is good enough to be saved for use."""

from artifacts.evaluation import Evaluation
from artifacts.gate import Gate, decide
from artifacts.store import Ref, Store
from tasks.caching import step


@step("check-gate")
def check_gate(evaluation: Ref, gate: Gate, store: Store) -> Ref:
    """Hold a stored `Evaluation` against the gate; the result is a `Verdict` as JSON. A rejection is not an error."""
    verdict = decide(Evaluation.model_validate(store.get_json(evaluation)), gate)
    return store.put_json(verdict.model_dump(mode="json"))
