"""The flow `training`: from the name of a data set to weights that passed the gate, or a verdict that says why not."""

import json
import re
import time
from datetime import UTC, datetime
from typing import Annotated, Any, NamedTuple

from prefect import flow, get_run_logger, runtime
from prefect.artifacts import create_markdown_artifact
from prefect.states import Completed
from pydantic import BaseModel, Field

from artifacts.errors import InvalidData
from artifacts.evaluation import Evaluation
from artifacts.gate import Gate, Verdict
from artifacts.housekeeping import prune
from artifacts.hyperparameters import Overrides, Recipe
from artifacts.registry import Candidate, ChampionChanged, Registry
from artifacts.results import Opponent, Pair, Reported, Saved, Scored, Trained, Validated
from artifacts.runs import Run
from artifacts.settings import Settings
from artifacts.store import Ref
from flows.plan import Plan
from flows.promotion import choose_opponent, settle
from tasks.caching import RECORDS
from tasks.check import check_gate
from tasks.download import download
from tasks.evaluate import evaluate, evaluate_champion
from tasks.normalise import normalise_and_reshape
from tasks.one_hot import one_hot_encode
from tasks.report import report
from tasks.save import save_weights
from tasks.train import train
from tasks.validate import validate


class Results(NamedTuple):
    """What the steps of a run came to."""

    validated: Validated
    images: Pair
    trained: Trained
    scored: Scored
    saved: Saved
    opponent: Opponent
    verdict: Ref
    report: Reported


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


@flow(name="training", persist_result=False, result_serializer="json")
def training(
    dataset: str = "mnist",
    recipe: Recipe = "tutorial",
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0,
    hyperparameters: Overrides = Overrides(),  # noqa: B008  # frozen
    gate: Gate = Gate(),  # noqa: B008
) -> Any:
    """Download, validate, train, evaluate, save, check, and promote what passed.

    Returns an `Outcome`; a model that the gate rejects ends the run as Completed, named "Rejected".

    Args:
        dataset: mnist, fashion-mnist, mnist-sample, or the path of a folder with the four IDX files
        recipe: Named set of hyperparameters
        seed: Decides initial weights, order and dropout
        hyperparameters: What replaces the recipe's own
        gate: What the model must reach
    """
    started = time.monotonic()
    settings = Settings.load()
    plan = Plan.of(dataset, recipe, seed, hyperparameters, gate, settings)
    with _recorded(plan, settings) as run:
        try:
            outcome = _concluded(plan, settings, run, started)
        except InvalidData as error:
            path = run.store.write(f"{run.folder}/data-report.json", json.dumps(error.report, indent=1).encode())
            raise InvalidData(f"{plan.source.name}: {error}; correct the data and run again, see {path}") from None
    if settings.max_size is not None:
        prune(settings.artifacts, settings.max_size)
    return outcome if outcome.gate.passed else Completed(name="Rejected", message=outcome.gate.reason, data=outcome)


training.result_storage = RECORDS  # a failed run's exception goes there too, as JSON


def pipeline(plan: Plan, settings: Settings) -> Results:
    """The steps of a training run, in order."""
    store, hp = settings.artifacts, plan.hyperparameters
    raw = download(plan.source, plan.mirrors, store)
    checked = validate(raw, plan.classes, store)
    images = normalise_and_reshape(checked.data, store)
    targets = one_hot_encode(checked.data, store)
    trained = train(images.train, targets.train, hp, plan.seed, store)
    scored = evaluate(trained.weights, images.test, targets.test, hp, store)
    test = checked.data.test
    saved = save_weights(trained.weights, test.images, scored.probabilities, hp, store)
    champion = choose_opponent(plan, trained.weights, test.images, settings)
    theirs = evaluate_champion(champion.weights, images.test, targets.test, champion.hyperparameters, store)
    verdict = check_gate(scored, test, saved, champion, theirs, plan.gate, store)
    page = report(plan.title, hp, checked, trained, scored, theirs, verdict, store)
    return Results(checked, images, trained, scored, saved, champion, verdict, page)


def _concluded(plan: Plan, settings: Settings, run: Run, started: float) -> "Outcome":
    """The outcome of the steps, taken again from the gate on if another run was promoted meanwhile."""
    while True:
        try:
            return _conclude(plan, pipeline(plan, settings), run, settings, started)
        except ChampionChanged:
            run.start_over()


def _recorded(plan: Plan, settings: Settings) -> Any:
    name = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{_slug(runtime.flow_run.name)}"
    return Run.recording(
        settings.artifacts,
        run=name,
        dataset=plan.source.name,
        recipe=plan.recipe,
        seed=plan.seed,
        hyperparameters=plan.hyperparameters.model_dump(mode="json"),
        gate=plan.gate.model_dump(mode="json"),
    )


def _conclude(plan: Plan, results: Results, run: Run, settings: Settings, started: float) -> Outcome:
    """Put weights and report where people look for them, show the report in Prefect's UI, promote, close the run."""
    store, weights = run.store, results.saved.weights
    evaluation = Evaluation.model_validate(store.get_json(results.scored.evaluation))
    verdict = Verdict.model_validate(store.get_json(results.verdict))
    for key, text in store.get_json(results.report.markdown).items():
        create_markdown_artifact(key=key, markdown=text, description=f"{plan.source.name}, {plan.recipe}")
    page = run.export(results.report.html, f"{run.folder}/report.html")
    path = run.export(weights, _place(plan, weights, verdict, run))
    test = results.validated.data.test.images
    candidate = Candidate(
        dataset=plan.source.name,
        recipe=plan.recipe,
        seed=plan.seed,
        accuracy=evaluation.accuracy,
        passed=verdict.passed,
        reason=verdict.reason,
        run=run.manifest.run,
        weights=weights,
        test=test.sha256,
        hyperparameters=plan.hyperparameters,
        image_shape=test.shape[1:],
        classes=len(evaluation.per_class),
        opponent=results.opponent,
    )
    version, promoted = settle(
        plan, candidate, results.trained, test, results.images.test, results.report.html, run, settings
    )
    run.finish(
        "passed" if verdict.passed else "rejected",
        accuracy=evaluation.accuracy,
        registry=Registry(settings.home).key,
        version=version,
    )
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


def _place(plan: Plan, weights: Ref, verdict: Verdict, run: Run) -> str:
    """Where weights are put, by what they are; those of a rejected model never where a passed model's would be."""
    if not verdict.passed:
        return f"{run.folder}/rejected.weights.h5"
    return f"models/{_slug(plan.source.name)}-{plan.recipe}-{weights.sha256[:12]}.weights.h5"


def _slug(name: str) -> str:
    """A name that is one part of a path, whatever it was."""
    return re.sub(r"[^a-zA-Z0-9]+", "-", name).strip("-")[:64] or "unnamed"
