"""What becomes of a run's results: the manifest, the files for people, the registry, Prefect's page."""

import contextlib
import json
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from prefect import get_run_logger, runtime
from prefect.artifacts import create_markdown_artifact
from prefect.events import emit_event
from pydantic import BaseModel

from artifacts.errors import InvalidData
from artifacts.lineage.manifest import Run
from artifacts.storage.eviction import prune
from artifacts.storage.settings import Settings
from artifacts.storage.store import Ref
from flows.plan import Plan
from flows.steps import Results
from tasks.evaluation.gate import Verdict
from tasks.evaluation.metrics import Evaluation
from tasks.registry.mlflow_runs import Tracking
from tasks.registry.promotion import Consent, register_and_promote
from tasks.registry.versions import Candidate


class Outcome(BaseModel):
    """What a run leaves for its caller: paths are absolute, `seconds` is wall time."""

    run: str
    dataset: str
    recipe: str
    seed: int
    accuracy: float
    interval: tuple[float, float]
    predictions: tuple[int, ...]
    gate: Verdict
    version: int
    """In the model registry."""
    promoted: bool
    """Whether this run made it champion."""
    warnings: list[str]
    weights: str
    report: str
    tasks: list[dict[str, Any]]
    seconds: float


@contextlib.contextmanager
def recorded_run(plan: Plan, settings: Settings, part: str = "") -> Iterator[Run]:
    """A run, or that `part` of it, with a manifest, and, if its data break their contract, with their report."""
    name = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{slug(runtime.flow_run.name)}{part}"
    facts = plan.model_dump(mode="json", include={"recipe", "seed", "hyperparameters", "gate"})
    with Run.recording(settings.artifacts, run=name, dataset=plan.source.name, **facts) as run:
        try:
            yield run
        except InvalidData as error:
            path = run.store.write(f"{run.folder}/data-report.json", json.dumps(error.report, indent=1).encode())
            raise InvalidData(f"{plan.source.name}: {error}; correct the data and run again, see {path}") from None
    if settings.max_size is not None:
        prune(settings.artifacts, settings.max_size)


def publish(
    plan: Plan, results: Results, run: Run, settings: Settings, started: float, consent: Consent | None = None
) -> Outcome:
    """Put weights and report where people look for them, show the report in Prefect's UI, promote, close the run.

    Raises ChampionChanged if another run was promoted meanwhile: then take the steps again.
    """
    store, weights = run.store, results.saved.weights
    evaluation = Evaluation.model_validate(store.get_json(results.scored.evaluation))
    verdict = Verdict.model_validate(store.get_json(results.verdict))
    for key, text in store.get_json(results.report.markdown).items():
        create_markdown_artifact(key=key, markdown=text, description=f"{plan.source.name}, {plan.recipe}")
    page = run.export(results.report.html, f"{run.folder}/report.html")
    candidate = candidate_of(plan, results, evaluation, verdict, run)
    version, promoted = register_and_promote(plan, candidate, results, run, settings, consent)
    path = run.export(weights, _place(plan, weights, verdict, run))
    run.finish(
        "passed" if verdict.passed else "rejected",
        accuracy=evaluation.accuracy,
        registry=Tracking(settings.home).key,
        version=version,
    )
    if promoted:
        _announce(candidate, version)
    get_run_logger().info(
        "accuracy %.4f [%.4f, %.4f]: %s; version %d", evaluation.accuracy, *evaluation.interval, verdict.reason, version
    )
    return Outcome(
        run=run.manifest.run,
        dataset=plan.source.name,
        recipe=plan.recipe,
        seed=plan.seed,
        accuracy=evaluation.accuracy,
        interval=evaluation.interval,
        predictions=evaluation.predictions,
        gate=verdict,
        version=version,
        promoted=promoted,
        warnings=[*(w["message"] for w in store.get_json(results.validated.report)["warnings"]), *verdict.warnings],
        weights=str(path),
        report=str(page),
        tasks=[step.model_dump(include={"name", "cached", "seconds"}) for step in run.manifest.steps],
        seconds=round(time.monotonic() - started, 2),
    )


def candidate_of(plan: Plan, results: Results, evaluation: Evaluation, verdict: Verdict, run: Run) -> Candidate:
    """What a run has to propose to the registry."""
    test = results.validated.data.test.images
    return Candidate(
        dataset=plan.source.name,
        recipe=plan.recipe,
        seed=plan.seed,
        accuracy=evaluation.accuracy,
        passed=verdict.passed,
        reason=verdict.reason,
        run=run.manifest.run,
        weights=results.saved.weights,
        test=test.sha256,
        hyperparameters=plan.hyperparameters,
        image_shape=test.shape[1:],
        classes=len(evaluation.per_class),
        opponent=results.opponent,
    )


def _announce(candidate: Candidate, version: int) -> None:
    """Tell Prefect, whose automations may act on it, that there is a new champion."""
    emit_event(
        "digitflow.champion.replaced",
        {"prefect.resource.id": f"digitflow.model.{slug(candidate.dataset)}"},
        payload={"dataset": candidate.dataset, "version": version, "run": candidate.run, "reason": candidate.reason},
    )


def _place(plan: Plan, weights: Ref, verdict: Verdict, run: Run) -> str:
    """Where weights are put, by what they are; those of a rejected model never where a passed model's would be."""
    if not verdict.passed:
        return f"{run.folder}/rejected.weights.h5"
    return f"models/{slug(plan.source.name)}-{plan.recipe}-{weights.sha256[:12]}.weights.h5"


def slug(name: str) -> str:
    """A name that is one part of a path, whatever it was."""
    return re.sub(r"[^a-zA-Z0-9]+", "-", name).strip("-")[:64] or "unnamed"
