"""The flow `retraining`: learn from what arrived since, and replace the champion only by a model that is proven."""

import time
from typing import Annotated, Any

from prefect import flow
from prefect.artifacts import create_markdown_artifact
from prefect.events import emit_event
from prefect.flow_runs import suspend_flow_run
from prefect.input import RunInput
from prefect.states import Completed
from pydantic import BaseModel, Field

from artifacts.batches import Arrivals, Batch, OnDrift
from artifacts.gate import Gate
from artifacts.hyperparameters import RECIPES, Overrides, Recipe
from artifacts.registry import ChampionChanged, Registry, Version
from artifacts.settings import Settings
from flows.pipeline import Outcome, conclude, learn, prepare, recorded
from flows.plan import Plan, locate
from tasks.caching import RECORDS
from tasks.collect import collect

WEEK = 7 * 24 * 3600


class Approval(RunInput):
    """What a person decides about a model that passed the gate."""

    promote: bool
    reason: str = ""


class Retrained(BaseModel):
    """What a retraining leaves: the outcome of its run, and what became of the inbox."""

    outcome: Outcome
    arrivals: Arrivals


@flow(name="retraining", persist_result=False, result_serializer="json")
def retraining(
    dataset: str = "mnist",
    recipe: Recipe | None = None,
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0,
    hyperparameters: Overrides = Overrides(),  # noqa: B008  # frozen
    gate: Gate = Gate(),  # noqa: B008
    on_drift: OnDrift = "accept",
    approve: bool = False,
) -> Any:
    """Train on a data set and all batches that were accepted for it, and hold the model against the champion.

    Returns a `Retrained`. The run ends as Completed, named "Unchanged" if there was nothing to do, "Rejected" if the
    gate rejected the model, "Declined" if a person did.

    Args:
        dataset: mnist, fashion-mnist, mnist-sample, or the path of a folder with the four IDX files
        recipe: Named set of hyperparameters; unset, what the champion was trained with, or "tutorial" before the first
        seed: Decides initial weights, order and dropout
        hyperparameters: What replaces the recipe's, or the champion's, own
        gate: What the model must reach
        on_drift: Whether a batch unlike the data set is learned from, or put into quarantine
        approve: Whether a person must approve the promotion; the run is suspended for up to a week
    """
    started = time.monotonic()
    settings = Settings.load()
    if recipe is None:
        recipe, hyperparameters = _as_champion(dataset, hyperparameters, settings)
    plan = Plan.of(dataset, recipe, seed, hyperparameters, gate, settings)
    approver, arrivals = Approver(), None
    with recorded(plan, settings) as run:
        while True:
            checked = prepare(plan, settings)
            if arrivals is None:
                classes = plan.classes or int(settings.artifacts.get(checked.data.train.labels).max()) + 1
                limit = settings.max_file_bytes
                arrivals = collect(
                    dataset=plan.source.name,
                    base=checked.data,
                    classes=classes,
                    on_drift=on_drift,
                    store=settings.artifacts,
                    inbox=settings.inbox,
                    max_bytes=limit,
                )
                _show(arrivals)
            results = learn(plan, checked, tuple(batch.data for batch in arrivals.accepted), settings)
            try:
                outcome = conclude(plan, results, run, settings, started, approver if approve else None)
                break
            except ChampionChanged:
                run.start_over()
    name, message = _ending(outcome, arrivals, approver.answer)
    return Completed(name=name, message=message, data=Retrained(outcome=outcome, arrivals=arrivals))


retraining.result_storage = RECORDS


def _as_champion(dataset: str, hyperparameters: Overrides, settings: Settings) -> tuple[Recipe, Overrides]:
    """The champion's recipe and hyperparameters, some of them replaced."""
    champion = Registry(settings.home).champion_in_use(locate(dataset, settings)[0].name)
    if champion is None or champion.recipe not in RECIPES:
        return "tutorial", hyperparameters
    own = champion.hyperparameters.model_dump() | hyperparameters.model_dump(exclude_none=True)
    return champion.recipe, Overrides(**own)


class Approver:
    """A person, who is asked whether a model that passed the gate shall become champion."""

    answer: Approval | None = None

    def __call__(self, version: Version) -> bool:
        """Suspend the run until a person has decided; it starts again from the top, with everything in the cache."""
        wanted = Approval.with_initial_data(
            description=f"Shall version {version.version} of {version.dataset} become champion? {version.reason}",
            promote=False,
        )
        answer: Approval = suspend_flow_run(wait_for_input=wanted, timeout=WEEK, key=f"approval-{version.version}")
        self.answer = answer
        return answer.promote


def _ending(outcome: Outcome, arrivals: Arrivals, answer: Approval | None) -> tuple[str, str]:
    said = f"; a person said: {answer.reason or 'nothing'}" if answer else ""
    if not outcome.gate.passed:
        return "Rejected", outcome.gate.reason
    if outcome.promoted:
        return "Promoted", f"version {outcome.version} is champion: {outcome.gate.reason}{said}"
    if answer is None and not arrivals.new and all(task["cached"] for task in outcome.tasks):
        return "Unchanged", "neither data, code nor hyperparameters changed; nothing was trained"
    return ("Declined" if answer else "Completed"), f"version {outcome.version} is registered, not champion{said}"


def _show(arrivals: Arrivals) -> None:
    """Show in Prefect's UI what became of the inbox, and tell its automations of drift and bad batches."""
    rows = [f"| {batch.name} | accepted | {_drift(batch)} |" for batch in arrivals.new]
    rows += [f"| {name} | known already | |" for name in arrivals.repeated]
    rows += [f"| {name} | quarantine | {why.replace('|', '/')} |" for name, why in arrivals.quarantined.items()]
    if rows:
        table = "\n".join(["| batch | what became of it | drift, or why |", "|---|---|---|", *rows])
        create_markdown_artifact(key="inbox", markdown=table, description="What became of the inbox")
    for batch in arrivals.new:
        if any(drift.is_drift for drift in batch.drift):
            _emit("drifted", batch.name, {drift.statistic: drift.index for drift in batch.drift})
    for name, why in arrivals.quarantined.items():
        _emit("quarantined", name, {"why": why})


def _drift(batch: Batch) -> str:
    return ", ".join(f"{d.statistic} {d.index:.2f}{' (drift)' * d.is_drift}" for d in batch.drift)


def _emit(what: str, name: str, payload: dict[str, Any]) -> None:
    emit_event(f"digitflow.batch.{what}", {"prefect.resource.id": f"digitflow.batch.{name}"}, payload=payload)
