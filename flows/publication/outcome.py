"""What a run leaves for its caller."""

import time
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from artifacts.lineage.manifest import Run, parts
from artifacts.storage.store import Ref, Store
from flows.plan import Plan
from flows.steps import Results, read_scores
from tasks.data.datasets import name_of
from tasks.evaluation.gate import Verdict
from tasks.model.schedule import describe_few_steps
from tasks.registry.promotion import Decision


class Outcome(BaseModel):
    """What a run leaves for its caller: paths are absolute, `seconds` is wall time."""

    run: str
    dataset: str
    recipe: str
    changes: dict[str, Any] = {}
    """The hyperparameters that differ from the recipe's own."""
    seed: int
    accuracy: float
    interval: tuple[float, float]
    predictions: tuple[int, ...]
    """Labels of the first five test images."""
    predicted_names: tuple[str, ...] = ()
    """The names of these classes; empty where classes are called by their numbers."""
    gate: Verdict
    version: int
    """In the model registry."""
    promoted: bool
    """Whether this run made it champion."""
    champion: int | None
    """The version in use when the run ended, as the registry says; another run may have promoted this model."""
    warnings: list[str]
    weights: str
    report: str
    tasks: list[dict[str, Any]]
    seconds: float

    @classmethod
    def of(
        cls,
        plan: Plan,
        results: Results,
        run: Run,
        *,
        decision: Decision,
        champion: int | None,
        weights: Path,
        report: Path,
        started: float,
    ) -> "Outcome":
        """The outcome of a run that ends now and that began at `started`, which is monotonic, in seconds."""
        evaluation, verdict = read_scores(results, run.store)
        names = results.validated.data.class_names
        return cls(
            run=run.manifest.run,
            dataset=plan.source.name,
            recipe=plan.recipe,
            changes=plan.changes,
            seed=plan.seed,
            accuracy=evaluation.accuracy,
            interval=evaluation.interval,
            predictions=evaluation.predictions,
            predicted_names=tuple(name_of(label, names) for label in evaluation.predictions) if names else (),
            gate=verdict,
            version=decision.version,
            promoted=decision.promoted,
            champion=champion,
            warnings=_warnings(plan, results, verdict, run.store),
            weights=str(weights),
            report=str(report),
            tasks=_tasks(run),
            seconds=round(time.monotonic() - started, 2),
        )

    @property
    def headline(self) -> str:
        """What happened, in a few words, such as "mnist fast 99.30% passed v7"."""
        verdict = "passed" if self.gate.passed else "rejected"
        if not self.promoted and all(task["cached"] for task in self.tasks):
            verdict = "unchanged"
        recipe = f"{self.recipe} (changed)" if self.changes else self.recipe
        return f"{self.dataset} {recipe} {100 * self.accuracy:.2f}% {verdict} v{self.version}"

    @property
    def ending(self) -> tuple[str, str]:
        """The name of the state in which a flow run ends, and its message."""
        name = "Promoted" if self.promoted else "Completed" if self.gate.passed else "Rejected"
        return name, f"{self.headline}: {self.gate.reason}; report: {self.report}"


class Stopped(BaseModel):
    """What a run leaves that ended after the step `until`: paths are absolute, `seconds` is wall time."""

    run: str
    dataset: str
    recipe: str
    changes: dict[str, Any] = {}
    seed: int
    until: str
    tasks: list[dict[str, Any]]
    results: dict[str, str]
    """The files of the last step's result, by their places in it."""
    seconds: float

    @classmethod
    def of(cls, plan: Plan, run: Run, started: float) -> "Stopped":
        """What a run leaves whose last step so far is its last. `started` is monotonic, in seconds."""
        return cls(
            run=run.manifest.run,
            dataset=plan.source.name,
            recipe=plan.recipe,
            changes=plan.changes,
            seed=plan.seed,
            until=plan.until,
            tasks=_tasks(run),
            results={
                place: str(run.store.path(Ref.model_validate(part)))
                for place, part in parts(run.manifest.steps[-1].result)
                if isinstance(part, dict)
            },
            seconds=round(time.monotonic() - started, 2),
        )


def _tasks(run: Run) -> list[dict[str, Any]]:
    """The steps of a run; of those that were computed again, also which parts of the result are as before."""
    return [
        step.model_dump(include={"name", "cached", "seconds"}) | ({"equal": step.equal} if step.equal else {})
        for step in run.manifest.steps
    ]


def _warnings(plan: Plan, results: Results, verdict: Verdict, store: Store) -> list[str]:
    """The warnings about the data, those of the gate, and whether the network had steps enough to learn."""
    about_data = [warning["message"] for warning in store.get_json(results.validated.report)["warnings"]]
    few_steps = describe_few_steps(plan.hyperparameters, results.learned.images.train.shape[0])
    return [*about_data, *verdict.warnings, *([few_steps] if few_steps and not verdict.passed else [])]
