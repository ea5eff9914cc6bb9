"""The flow `retraining`: learn from what arrived since, and replace the champion only by a model that is proven."""

import time
from typing import Annotated, Any

from prefect import flow, runtime
from prefect.artifacts import create_markdown_artifact
from prefect.flow_runs import suspend_flow_run
from prefect.input import RunInput
from prefect.states import Completed
from pydantic import BaseModel, Field

from artifacts.errors import DigitflowError
from artifacts.storage.home import SUSPENDED
from artifacts.storage.settings import Settings
from artifacts.storage.store import Store
from flows.plan import Plan, locate
from flows.publication.announcements import announce
from flows.publication.outcome import Outcome
from flows.publication.publish import publish
from flows.recorded_run import recorded_run, slug
from flows.steps import Results, baseline_of, count_on_new_images, judge, prepare, refuse_unsuitable, train_and_score
from tasks.caching import refreshing
from tasks.data.validate import Validated
from tasks.evaluation.gate import Gate
from tasks.model.hyperparameters import Hyperparameters, Overrides
from tasks.model.recipes import RECIPES, Recipe
from tasks.prefect_tasks import keep_plain
from tasks.registry.promotion import Consent, retry_if_champion_changed
from tasks.registry.registry import Registry
from tasks.registry.versions import Version
from tasks.retraining.batch_judge import OnDrift
from tasks.retraining.collect import Arrivals, collect
from tasks.retraining.ledger import Batch, read_ledger
from tasks.retraining.merge import Merged, merge

WEEK = 7 * 24 * 3600


class Approval(RunInput):
    """What a person decides about a model that passed the gate."""

    promote: bool
    reason: str = ""


class Settled(BaseModel):
    """What a run settled before it was suspended. It goes on with the same when it is resumed."""

    recipe: Recipe
    seed: int
    hyperparameters: Hyperparameters
    arrivals: Arrivals

    @property
    def request(self) -> tuple[Recipe, int, Overrides]:
        return self.recipe, self.seed, Overrides(**self.hyperparameters.model_dump())


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
    dataset_name: str = "",
    refresh: tuple[str, ...] = (),
) -> Any:
    """Train on a data set and all batches that were accepted for it, and hold the model against the champion.

    Returns a `Retrained`. The run ends as Completed, named "Unchanged" if there was nothing to do, "Promoted",
    "Rejected" if the gate rejected the model, "Declined" if a person did.

    Args:
        dataset: mnist, fashion-mnist, mnist-sample, or the path or URL of your own data
        recipe: Named set of hyperparameters; unset, all is as the champion was trained ("tutorial" before the first)
        seed: Decides initial weights, order and dropout; unset, the champion's
        hyperparameters: What replaces the recipe's, or the champion's, own
        gate: What the model must reach
        on_drift: Whether a batch unlike the data set is learned from, or put into quarantine
        approve: Whether a person must approve the promotion; the run is suspended for up to a week
        dataset_name: What people's own data and their models are called; unset, as the folder or file
        refresh: Steps to compute although nothing changed
    """
    started = time.monotonic()
    settings = Settings.load()
    approver = Approver(settings.artifacts, runtime.flow_run.id)
    name = locate(dataset, settings, dataset_name)[0].name
    asked = (name, recipe, seed, hyperparameters)
    recipe, seed, changes = approver.settled.request if approver.settled else _like_champion(*asked, settings=settings)
    plan = Plan.of(
        dataset,
        recipe,
        seed,
        hyperparameters=changes,
        gate=gate,
        settings=settings,
        dataset_name=dataset_name,
        refresh=refresh,
        other_steps=(merge.name,),
        can_have_batches=True,
    )
    consent = approver if approve else None
    outcome = _retrain_and_publish(plan, approver, on_drift, settings=settings, started=started, consent=consent)
    approver.forget()
    name, message = _ending(outcome, approver.arrivals, approver.answer)
    if waiting := approver.arrivals.waiting:
        message += f"; to be looked at by a person: {', '.join(waiting)}; see: digitflow data"
    return Completed(name=name, message=message, data=Retrained(outcome=outcome, arrivals=approver.arrivals))


keep_plain(retraining)


def _retrain_and_publish(
    plan: Plan,
    approver: "Approver",
    on_drift: OnDrift,
    *,
    settings: Settings,
    started: float,
    consent: Consent | None,
) -> Outcome:
    """Learn, judge, register and, if the model passes, promote: one recorded run that began at `started`."""
    with recorded_run(plan, settings, runtime.flow_run.name) as run:

        def attempt() -> Outcome:
            with refreshing(plan.refresh):
                results = _learn_and_judge(plan, approver, on_drift, settings)
            _refuse_withdrawn(approver.arrivals, plan.source.name, settings.artifacts)
            return publish(plan, results, run, started=started, consent=consent)

        return retry_if_champion_changed(attempt, run.start_over)


def _learn_and_judge(plan: Plan, approver: "Approver", on_drift: OnDrift, settings: Settings) -> Results:
    """The steps of training, on the data set merged with all accepted batches, and a check on held-out new images."""
    store, validated = settings.artifacts, prepare(plan, settings)
    refuse_unsuitable(plan, validated.data, settings)
    if approver.settled is None or _withdrawn(approver.arrivals, plan.source.name, store):
        arrivals = _collect(plan, validated, on_drift, settings)
        settled = {"recipe": plan.recipe, "seed": plan.seed, "hyperparameters": plan.hyperparameters}
        approver.settled = Settled(**settled, arrivals=arrivals)
    batches = tuple(batch.data for batch in approver.arrivals.accepted)
    merged = merge(validated.data, batches, store) if batches else Merged(data=validated.data, new_holdout=None)
    learned = train_and_score(plan, merged.data, settings)
    baseline = baseline_of(plan, learned, validated.data.test.images, settings)
    holdout = merged.new_holdout
    counts = count_on_new_images(plan, learned, baseline, holdout, settings=settings) if holdout else None
    judged = judge(plan, validated, learned, baseline=baseline, settings=settings, counts_on_new_images=counts)
    return Results(validated, learned, judged)


def _withdrawn(arrivals: Arrivals, dataset: str, store: Store) -> set[str]:
    """The names of the batches that a run learns from and that a person withdrew since it began."""
    kept = {batch.digest for batch in read_ledger(dataset, store) if not batch.withdrawn}
    return {batch.name for batch in arrivals.accepted if batch.digest not in kept}


def _refuse_withdrawn(arrivals: Arrivals, dataset: str, store: Store) -> None:
    """Raise DigitflowError if the model of a run learned from a batch that was withdrawn meanwhile."""
    if names := _withdrawn(arrivals, dataset, store):
        raise DigitflowError(f"withdrawn while the run learned from it: {', '.join(sorted(names))}; run again")


def _like_champion(
    name: str, recipe: Recipe | None, seed: int | None, hyperparameters: Overrides, *, settings: Settings
) -> tuple[Recipe, int, Overrides]:
    """Recipe, seed and hyperparameters; those that are not given are the champion's, if there is one."""
    champion = Registry(settings.home).champion(name)
    if recipe is not None and seed is not None:
        return recipe, seed, hyperparameters
    if champion is None:
        return recipe or "tutorial", seed or 0, hyperparameters
    seed = champion.seed if seed is None else seed
    if recipe is not None or champion.recipe not in RECIPES:
        return recipe or "tutorial", seed, hyperparameters
    own = champion.hyperparameters.model_dump() | hyperparameters.model_dump(exclude_none=True)
    return champion.recipe, seed, Overrides(**own)


def _collect(plan: Plan, validated: Validated, on_drift: OnDrift, settings: Settings) -> Arrivals:
    """Judge the inbox, and show in Prefect's UI what became of each batch."""
    labels = settings.artifacts.get(validated.data.train.labels)
    arrivals = collect(
        dataset=plan.source.name,
        base=validated.data,
        classes=plan.classes or int(labels.max()) + 1,
        champion=_restored_champion(plan.source.name, settings),
        on_drift=on_drift,
        store=settings.artifacts,
        inbox=settings.inbox,
        max_bytes=settings.max_file_bytes,
    )
    _show(arrivals)
    return arrivals


def _restored_champion(name: str, settings: Settings) -> Version | None:
    """The champion, with its weights in the store if they can be had."""
    registry = Registry(settings.home)
    champion = registry.champion(name)
    if champion:
        registry.restore(champion, settings.artifacts)
    return champion


class Approver:
    """Asks a person whether a model that passed the gate becomes champion.

    `settled` is what the run had settled if it was suspended before; `answer` is the person's, once there is one.
    """

    answer: Approval | None = None

    def __init__(self, store: Store, run: str):
        self._store, self._name = store, f"{SUSPENDED}/{run}.json"
        content = store.read(self._name)
        self.settled = None if content is None else Settled.model_validate_json(content)

    @property
    def arrivals(self) -> Arrivals:
        assert self.settled  # noqa: S101  # the steps settle it before anything asks
        return self.settled.arrivals

    def keep(self) -> None:
        """Write down what is settled, for when the run is resumed."""
        if self.settled:
            self._store.write(self._name, self.settled.model_dump_json().encode())

    def forget(self) -> None:
        """Delete what was kept: the run has ended."""
        (self._store.home / self._name).unlink(missing_ok=True)

    def __call__(self, version: Version) -> bool:
        """Suspend the run until a person has decided. It then starts again from the top, with its steps cached."""
        self.keep()
        against = version.baseline.version or version.baseline.absence
        wanted = Approval.with_initial_data(
            description=f"Promote version {version.version} of {version.dataset}? {version.reason}", promote=False
        )
        key = f"approval-{version.version}-{slug(str(against))}"  # an answer is about this evidence only
        answer: Approval = suspend_flow_run(wait_for_input=wanted, timeout=WEEK, key=key)
        self.answer = answer
        return answer.promote


def _ending(outcome: Outcome, arrivals: Arrivals, answer: Approval | None) -> tuple[str, str]:
    said = f"; a person said: {answer.reason or 'nothing'}" if answer else ""
    if outcome.promoted:
        return "Promoted", f"{outcome.ending[1]}{said}"
    if answer is None and not arrivals.new and all(task["cached"] for task in outcome.tasks):
        verdict = "" if outcome.gate.passed else f"; the model was rejected before: {outcome.gate.reason}"
        return "Unchanged", f"neither data, code nor hyperparameters changed; nothing was trained{verdict}"
    if not outcome.gate.passed:
        return outcome.ending
    if outcome.champion == outcome.version:
        return "Completed", f"version {outcome.version} is champion already"
    return ("Declined" if answer else "Completed"), f"version {outcome.version} is registered, not champion{said}"


def _show(arrivals: Arrivals) -> None:
    """Show in Prefect's UI what became of the inbox, and tell its automations of drift and of batches set aside."""
    rows = [f"| {batch.name} | accepted | {_drift(batch)} |" for batch in arrivals.new]
    rows += [f"| {name} | known already | |" for name in arrivals.repeated]
    aside = [("quarantine", arrivals.quarantined), ("waits for approval", arrivals.waiting)]
    for what, batches in aside:
        rows += [f"| {name} | {what} | {why.replace('|', '/')} |" for name, why in batches.items()]
    if rows:
        table = "\n".join(["| batch | what became of it | drift, or why |", "|---|---|---|", *rows])
        create_markdown_artifact(key="inbox", markdown=table, description="What became of the inbox")
    for batch in arrivals.new:
        if any(drift.is_drift for drift in batch.drift):
            _emit("drifted", batch.name, {drift.statistic: drift.index for drift in batch.drift})
    for name, why in arrivals.quarantined.items():
        _emit("quarantined", name, {"why": why})
    for name, why in arrivals.waiting.items():
        _emit("waiting", name, {"why": why})


def _drift(batch: Batch) -> str:
    return ", ".join(f"{d.statistic} {d.index:.2f}{' (drift)' * d.is_drift}" for d in batch.drift)


def _emit(what: str, name: str, payload: dict[str, Any]) -> None:
    announce(f"digitflow.batch.{what}", f"digitflow.batch.{name}", payload)
