"""The steps of a run, in order, and what becomes of their results: what the flows share."""

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

from artifacts.datasets import Split
from artifacts.errors import InvalidData
from artifacts.evaluation import Evaluation
from artifacts.gate import Verdict
from artifacts.housekeeping import prune
from artifacts.registry import Candidate
from artifacts.results import Opponent, Pair, Results, Trained, Validated
from artifacts.runs import Run
from artifacts.settings import Settings
from artifacts.store import Ref, Store
from artifacts.tracking import Tracking
from flows.plan import Plan
from flows.promotion import Consent, choose_opponent, settle
from tasks.check import check_gate
from tasks.download import download
from tasks.evaluate import evaluate, evaluate_champion, evaluate_fresh
from tasks.merge import merge
from tasks.normalise import normalise_and_reshape
from tasks.one_hot import one_hot_encode
from tasks.report import report
from tasks.save import save_weights
from tasks.train import train
from tasks.validate import validate


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


def prepare(plan: Plan, settings: Settings) -> Validated:
    """Fetch the data of a plan, and hold them against their contract."""
    store = settings.artifacts
    raw = download(plan.source, plan.mirrors, store)
    return validate(raw, plan.classes, store)


def learn(plan: Plan, checked: Validated, batches: tuple[Split, ...], settings: Settings) -> Results:
    """Train on checked data and accepted batches, and hold the model against the gate."""
    store, hp = settings.artifacts, plan.hyperparameters
    data, held_out = checked.data, None
    if batches:
        merged = merge(checked.data, batches, store)
        data, held_out = merged.data, merged.fresh
    images = normalise_and_reshape(data, store)
    targets = one_hot_encode(data, store)
    trained = train(images.train, targets.train, hp, plan.seed, store)
    scored = evaluate(trained.weights, images.test, targets.test, hp, store)
    test = checked.data.test
    saved = save_weights(trained.weights, test.images, scored.probabilities, hp, store)
    champion = choose_opponent(plan, trained.weights, test.images, settings)
    theirs = evaluate_champion(champion.weights, images.test, targets.test, champion.hyperparameters, store)
    fresh = _on_fresh(plan, trained, champion, held_out, targets, store)
    verdict = check_gate(scored, test, saved, champion, theirs, fresh, plan.gate, store)
    page = report(plan.title, hp, checked, trained, scored, theirs, verdict, store)
    return Results(checked, images, trained, scored, saved, champion, verdict, page)


def _on_fresh(
    plan: Plan, trained: Trained, champion: Opponent, fresh: Split | None, targets: Pair, store: Store
) -> Ref | None:
    if fresh is None:
        return None
    hp, classes = plan.hyperparameters, targets.train.shape[1]
    return evaluate_fresh(trained.weights, hp, champion.weights, champion.hyperparameters, fresh, classes, store)


@contextlib.contextmanager
def recorded(plan: Plan, settings: Settings, part: str = "") -> Iterator[Run]:
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


def conclude(
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
    version, promoted = settle(plan, candidate, results, run, settings, consent)
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
