"""The steps of a training run, without Prefect."""

from pathlib import Path
from typing import Any

from artifacts.storage.settings import Settings
from flows.plan import Plan
from flows.publication import read_scores
from flows.steps import train_and_judge
from tasks.caching import Step, replaced_by
from tasks.evaluation.gate import Gate
from tasks.model.hyperparameters import Overrides

STEPS = [
    *("read", "validate", "normalise-and-reshape", "one-hot-encode", "train", "evaluate", "save-weights"),
    *("evaluate-champion", "check-gate", "report"),
]


def test_steps_give_a_verdict_without_prefect(home: Path, digits_folder: Path) -> None:
    """Each step runs once, in order, as the function that it is, and the gate gives its verdict on the result."""
    called: list[str] = []

    def run_step(step: Step[Any, Any], arguments: dict[str, Any]) -> Any:
        called.append(step.name)
        return step.fn(**arguments)

    settings = Settings.load()
    overrides, gate = Overrides(epochs=1, batch_size=64), Gate(min_accuracy=0.2)
    plan = Plan.of(str(digits_folder), "tutorial", 0, hyperparameters=overrides, gate=gate, settings=settings)
    with replaced_by(run_step):
        results = train_and_judge(plan, settings)
    evaluation, verdict = read_scores(results, settings.artifacts)
    assert called == STEPS
    assert verdict.passed == (evaluation.accuracy >= 0.2) and verdict.baseline.absence == "no champion yet"
