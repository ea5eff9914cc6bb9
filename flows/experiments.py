"""The flow `experiments`: compare variants on held-out training images, and propose the best to the gate."""

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

from prefect import flow, runtime
from prefect.artifacts import create_markdown_artifact
from prefect.states import Completed
from pydantic import BaseModel, Field

from artifacts.errors import DigitflowError
from artifacts.lineage.manifest import Run
from artifacts.storage.home import EXPERIMENTS
from artifacts.storage.settings import Settings
from flows.plan import TRIAL_STEPS, Execution, Plan
from flows.publication.outcome import Outcome
from flows.recorded_run import recorded_run, slug
from flows.steps import champion_of, prepare
from flows.training import train_and_publish
from flows.trials import Trials, workers
from tasks.caching import refreshing
from tasks.data.normalise import normalise_and_reshape
from tasks.data.one_hot import one_hot_encode
from tasks.evaluation.gate import Gate
from tasks.experiments.compare import compare
from tasks.experiments.comparison import Row, describe_lead, ranked
from tasks.experiments.hold_out import hold_out
from tasks.experiments.search import Search, Study, study_lock
from tasks.experiments.trial_worker import TrialResult
from tasks.experiments.variants import AS_IS, EXTENSIONS, apply_changes, describe_changes
from tasks.model.hyperparameters import Hyperparameters, Overrides
from tasks.model.recipes import Recipe
from tasks.prefect_tasks import keep_plain
from tasks.registry.mlflow_client import Tracking
from tasks.registry.mlflow_runs import LoggedVariant, log_experiment
from tasks.reporting.run_facts import experiment_facts, insert_facts

FINALISTS = 3
"""Hyperparameters of a search that are tried with every seed."""


class Experiment(BaseModel):
    """What an experiment leaves for its caller: accuracies are on held-out training images, `seconds` is wall time."""

    dataset: str
    recipe: str
    variants: list[dict[str, Any]]
    """The best first."""
    winner: str
    lead: str
    """Whether the winner is distinguishable from the next, in words."""
    hyperparameters: Hyperparameters
    computed: int
    cached: int
    """Trials that were computed, and trials that the cache answered."""
    report: str
    markdown: str
    outcome: Outcome | None = None
    """The training run of the winner on all training images, with its test accuracy, if the winner was proposed."""
    seconds: float = 0


@flow(name="experiments", persist_result=False, result_serializer="json")
def experiments(
    dataset: str = "mnist",
    recipe: Recipe = "tutorial",
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0,
    hyperparameters: Overrides = Overrides(),  # noqa: B008  # frozen
    variants: dict[str, Overrides] | None = None,
    search: Search | None = None,
    seeds: Annotated[int, Field(ge=1, le=100)] = 3,
    propose: bool = True,
    gate: Gate = Gate(),  # noqa: B008
    where: Execution = Execution(),  # noqa: B008
    dataset_name: str = "",
    refresh: tuple[str, ...] = (),
) -> Any:
    """Try variants of a recipe with several seeds, train the best on all training images, and propose it to the gate.

    Returns an `Experiment`. The run ends as `training` ends, if it trains the winner.

    Args:
        dataset: mnist, fashion-mnist, mnist-sample, or the path or URL of your own data
        recipe: Named set of hyperparameters
        seed: The first of the seeds, and the winner's
        hyperparameters: What replaces the recipe's own in every variant
        variants: Changes by name; unset, the tutorial's extensions
        search: Let Optuna propose instead
        seeds: How many times each is tried
        propose: Whether the winner is trained on all training images and held against the gate
        gate: What the winner must reach
        where: Who trains
        dataset_name: What people's own data and their models are called; unset, as the folder or file
        refresh: Steps to compute although nothing changed
    """
    started, settings = time.monotonic(), Settings.load()
    plan = Plan.of(
        dataset,
        recipe,
        seed,
        hyperparameters=hyperparameters,
        gate=gate,
        settings=settings,
        dataset_name=dataset_name,
        refresh=refresh,
        other_steps=TRIAL_STEPS,
    )
    if propose:
        champion_of(plan, settings)  # one that is unreadable or lost is an error now, not after training
    with refreshing(plan.refresh):
        experiment = _compare(plan, variants, search, seeds=seeds, execution=where, settings=settings)
    if propose:
        winner = plan.model_copy(update={"hyperparameters": experiment.hyperparameters})
        experiment.outcome = train_and_publish(winner, settings, time.monotonic())
    experiment.seconds = round(time.monotonic() - started, 2)
    if experiment.outcome is None:
        return experiment
    name, message = experiment.outcome.ending
    return Completed(name=name, message=message, data=experiment)


keep_plain(experiments)


def _compare(
    plan: Plan,
    variants: Mapping[str, BaseModel] | None,
    search: Search | None,
    *,
    seeds: int,
    execution: Execution,
    settings: Settings,
) -> Experiment:
    """Run the trials as one recorded run, and publish the comparison."""
    with recorded_run(plan, settings, f"{slug(runtime.flow_run.name)}-trials") as run:
        with workers(execution) as runner:
            trials = _make_trials(plan, settings, runner)
            if search:
                rows = _run_search(plan, search, seeds, trials=trials, settings=settings)
            else:
                rows = _run_variants(_variants(plan, variants), range(plan.seed, plan.seed + seeds), trials)
        best = _best(rows)
        page, markdown = _publish(plan, rows, run, trials, settings=settings)
        run.finish("compared")
    return Experiment(
        dataset=plan.source.name,
        recipe=plan.recipe,
        variants=[_as_json(row) for row in ranked(rows)],
        winner=best.name,
        lead=describe_lead(ranked(rows), AS_IS),
        hyperparameters=best.hyperparameters,
        computed=trials.computed,
        cached=trials.cached,
        report=page,
        markdown=markdown,
    )


def _make_trials(plan: Plan, settings: Settings, runner: Any) -> Trials:
    """Trials that learn from the training images, and are scored on those that are held out of them."""
    store = settings.artifacts
    data = hold_out(prepare(plan, settings).data.train, store)
    return Trials(normalise_and_reshape(data, store), one_hot_encode(data, store), runner)


def _variants(plan: Plan, variants: Mapping[str, BaseModel] | None) -> dict[str, Hyperparameters]:
    """The hyperparameters of each variant, by its name; without variants, the tutorial's extensions."""
    changes = EXTENSIONS if variants is None else {n: v.model_dump(exclude_none=True) for n, v in variants.items()}
    return {name: apply_changes(plan.hyperparameters, name, change) for name, change in changes.items()}


def _run_variants(variants: Mapping[str, Hyperparameters], seeds: Sequence[int], trials: Trials) -> list[Row]:
    """Run every variant with every seed, seed by seed."""
    results = trials.run([(hyperparameters, seed) for seed in seeds for hyperparameters in variants.values()])
    return [
        Row(
            name=name,
            hyperparameters=hyperparameters,
            trials=dict(zip(seeds, results[i :: len(variants)], strict=True)),
        )
        for i, (name, hyperparameters) in enumerate(variants.items())
    ]


def _run_search(plan: Plan, search: Search, seeds: int, *, trials: Trials, settings: Settings) -> list[Row]:
    """Run the trials of a search with the first seed, then the recipe itself and the best trials with every seed."""
    base, name = plan.hyperparameters, search.study or f"{slug(plan.source.name)}-{plan.recipe}"
    about = [plan.source.digests, base.model_dump(mode="json"), plan.seed, search.model_dump(mode="json")["space"]]
    with study_lock(settings.home, name):
        study = Study(settings.home, name, search, about)
        while proposals := study.propose():
            requests = [(apply_changes(base, "search", proposal.changes), plan.seed) for proposal in proposals]
            study.record(list(zip(proposals, trials.run(requests, study.pruning_thresholds()), strict=True)))
        rows = [
            _trial_row(plan, number, study.changes(number), result)
            for number, result in list(study.finished().items())[: search.trials]
        ]
    order = sorted((row for row in rows if not row.failure), key=lambda row: -row.accuracy)
    finalists = list({row.hyperparameters: row for row in order}.values())[:FINALISTS]
    variants = {AS_IS: base} | {row.name: row.hyperparameters for row in finalists}
    finals = _run_variants(variants, range(plan.seed, plan.seed + seeds), trials)
    return finals + [row for row in rows if row.name not in variants]


def _trial_row(plan: Plan, number: int, changes: Mapping[str, Any], result: TrialResult) -> Row:
    name = f"trial {number}: {describe_changes(changes)}"
    return Row(
        name=name, hyperparameters=apply_changes(plan.hyperparameters, name, changes), trials={plan.seed: result}
    )


def _best(rows: Sequence[Row]) -> Row:
    """The best row. Raises DigitflowError if no variant could be trained."""
    best = ranked(rows)[0]
    if best.failure:
        raise DigitflowError(f"no variant could be trained; the first, {best.name}: {best.failure}")
    return best


def _publish(plan: Plan, rows: Sequence[Row], run: Run, trials: Trials, *, settings: Settings) -> tuple[str, str]:
    """Export the comparison, and log it once in MLflow. Returns the path of its page, and the page as Markdown."""
    store = settings.artifacts
    kept = store.put_json([row.model_dump(mode="json") for row in rows])
    title = f"{plan.source.name}, recipe {plan.recipe}: {len(rows)} variants"
    reported = compare(title, kept, store)
    name = f"{EXPERIMENTS}/{slug(plan.source.name)}-{plan.recipe}-{kept.sha256[:12]}"
    if not (store.home / name / "variants.json").exists():
        variants = [_logged(plan, row) for row in rows]
        page, lead = store.path(reported.html).read_bytes(), describe_lead(ranked(rows), AS_IS)
        about = f"The best on held-out training images: **{_best(rows).name}**{f', {lead}' if lead else ''}."
        tracking, source = Tracking(settings.home), "flows/experiments.py"
        log_experiment(tracking, title, variants, page, source=source, about=about)
    run.export(kept, f"{name}/variants.json")
    markdown: str = store.get_json(reported.markdown)["experiment"]
    create_markdown_artifact(key="experiment", markdown=markdown, description=title)
    seconds = (datetime.now(UTC) - run.manifest.started).total_seconds()
    facts = experiment_facts(run.manifest, computed=trials.computed, cached=trials.cached, seconds=seconds)
    page = insert_facts(store.path(reported.html).read_bytes(), facts)
    return str(run.write(page, "html", f"{run.folder}/report.html")), markdown


def _logged(plan: Plan, row: Row) -> LoggedVariant:
    """A row for MLflow. Its names are those of a training run, so that both compare there."""
    trials = {seed: trial for seed, trial in row.trials.items() if trial.accuracy is not None}
    return LoggedVariant(
        name=row.name,
        parameters={"dataset": plan.source.name, "recipe": plan.recipe, "seeds": len(row.trials)}
        | row.hyperparameters.model_dump(mode="json"),
        metrics={
            "validation_accuracy": {seed: trial.accuracy or 0.0 for seed, trial in trials.items()},
            "validation_loss": {seed: trial.loss for seed, trial in trials.items() if trial.loss is not None},
            "fit_seconds": {seed: trial.seconds for seed, trial in row.trials.items()},
        },
        weights=row.parameters,
        failure=row.failure,
    )


def _as_json(row: Row) -> dict[str, Any]:
    """A row for programs. A failed row has no accuracy, interval and loss."""
    known = {"name": row.name, "seeds": len(row.trials), "failure": row.failure or None}
    costs = {"parameters": row.parameters, "seconds": round(row.seconds, 3)}
    score = None if row.failure else row
    return known | costs | {n: getattr(score, n, None) for n in ("accuracy", "interval", "loss")}
