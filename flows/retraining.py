"""The flow `retraining`: learn from what arrived since, and replace the champion only by a model that is proven."""

import time
from typing import Annotated, Any

from prefect import flow, runtime
from prefect.artifacts import create_markdown_artifact
from prefect.events import emit_event
from prefect.flow_runs import suspend_flow_run
from prefect.input import RunInput
from prefect.states import Completed
from pydantic import BaseModel, Field

from artifacts.storage.settings import Settings
from artifacts.storage.store import Store
from flows.plan import Plan, locate
from flows.publication import Outcome, publish, recorded_run, slug
from flows.steps import learn, prepare
from tasks.caching import RECORDS
from tasks.data.validate import Validated
from tasks.evaluation.gate import Gate
from tasks.model.hyperparameters import Hyperparameters, Overrides
from tasks.model.recipes import RECIPES, Recipe
from tasks.registry.registry import Registry
from tasks.registry.versions import ChampionChanged, Version
from tasks.retraining.collect import collect
from tasks.retraining.inbox import Arrivals, Batch, OnDrift

WEEK = 7 * 24 * 3600


class Approval(RunInput):
    """What a person decides about a model that passed the gate."""

    promote: bool
    reason: str = ""


class Decided(BaseModel):
    """What a run had settled before it was suspended, so that it goes on with the same when it is resumed."""

    recipe: Recipe
    seed: int
    hyperparameters: Hyperparameters
    arrivals: Arrivals


class Retrained(BaseModel):
    """What a retraining leaves: the outcome of its run, and what became of the inbox."""

    outcome: Outcome
    arrivals: Arrivals


@flow(name="retraining", persist_result=False, result_serializer="json")
def retraining(
    dataset: str = "mnist",
    recipe: Recipe | None = None,
    seed: Annotated[int | None, Field(ge=0, lt=2**32)] = None,
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
        recipe: Named set of hyperparameters; unset, all is as the champion was trained ("tutorial" before the first)
        seed: Decides initial weights, order and dropout; unset, the champion's
        hyperparameters: What replaces the recipe's, or the champion's, own
        gate: What the model must reach
        on_drift: Whether a batch unlike the data set is learned from, or put into quarantine
        approve: Whether a person must approve the promotion; the run is suspended for up to a week
    """
    started = time.monotonic()
    settings = Settings.load()
    approver = Approver(settings.artifacts, runtime.flow_run.id)
    decided = approver.resumed()
    if decided:
        recipe, seed, hyperparameters = decided.recipe, decided.seed, Overrides(**decided.hyperparameters.model_dump())
    else:
        recipe, seed, hyperparameters = _like_champion(dataset, recipe, seed, hyperparameters, settings)
    plan = Plan.of(dataset, recipe, seed, hyperparameters, gate, settings)
    with recorded_run(plan, settings) as run:
        while True:
            checked = prepare(plan, settings)
            if decided is None:
                arrivals = _collected(plan, checked, on_drift, settings)
                decided = Decided(recipe=recipe, seed=seed, hyperparameters=plan.hyperparameters, arrivals=arrivals)
            approver.decided = decided
            results = learn(plan, checked, tuple(batch.data for batch in decided.arrivals.accepted), settings)
            try:
                outcome = publish(plan, results, run, settings, started, approver if approve else None)
                break
            except ChampionChanged:
                run.start_over()
    approver.forget()
    name, message = _ending(outcome, decided.arrivals, approver.answer)
    return Completed(name=name, message=message, data=Retrained(outcome=outcome, arrivals=decided.arrivals))


retraining.result_storage = RECORDS


def _like_champion(
    dataset: str, recipe: Recipe | None, seed: int | None, hyperparameters: Overrides, settings: Settings
) -> tuple[Recipe, int, Overrides]:
    """Recipe, seed and hyperparameters; what is not given is the champion's, if there is one."""
    if recipe is not None and seed is not None:
        return recipe, seed, hyperparameters
    champion = Registry(settings.home).champion_in_use(locate(dataset, settings)[0].name)
    if champion is None:
        return recipe or "tutorial", seed or 0, hyperparameters
    seed = champion.seed if seed is None else seed
    if recipe is not None or champion.recipe not in RECIPES:
        return recipe or "tutorial", seed, hyperparameters
    own = champion.hyperparameters.model_dump() | hyperparameters.model_dump(exclude_none=True)
    return champion.recipe, seed, Overrides(**own)


def _collected(plan: Plan, checked: Validated, on_drift: OnDrift, settings: Settings) -> Arrivals:
    """What became of the inbox, shown."""
    arrivals = collect(
        dataset=plan.source.name,
        base=checked.data,
        classes=plan.classes or int(settings.artifacts.get(checked.data.train.labels).max()) + 1,
        on_drift=on_drift,
        store=settings.artifacts,
        inbox=settings.inbox,
        max_bytes=settings.max_file_bytes,
    )
    _show(arrivals)
    return arrivals


class Approver:
    """A person, who is asked whether a model that passed the gate shall become champion."""

    answer: Approval | None = None
    decided: Decided | None = None

    def __init__(self, store: Store, run: str):
        self._store, self._name = store, f"suspended/{run}.json"

    def resumed(self) -> Decided | None:
        """What the run had settled, if it was suspended before."""
        content = self._store.read(self._name)
        return None if content is None else Decided.model_validate_json(content)

    def keep(self) -> None:
        """Note what is settled, for when the run is resumed."""
        if self.decided:
            self._store.write(self._name, self.decided.model_dump_json().encode())

    def forget(self) -> None:
        """The run has ended."""
        (self._store.home / self._name).unlink(missing_ok=True)

    def __call__(self, version: Version) -> bool:
        """Suspend the run until a person has decided; it starts again from the top, with everything in the cache."""
        self.keep()
        against = version.opponent.version or version.opponent.absence
        wanted = Approval.with_initial_data(
            description=f"Shall version {version.version} of {version.dataset} become champion? {version.reason}",
            promote=False,
        )
        key = f"approval-{version.version}-{slug(str(against))}"  # an answer is about this evidence only
        answer: Approval = suspend_flow_run(wait_for_input=wanted, timeout=WEEK, key=key)
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
