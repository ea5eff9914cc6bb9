"""Preview a run: which steps the cache answers, why the others are computed, and what can be started early for them."""

import secrets
import time
from functools import cached_property
from typing import Any, Literal

from pydantic import BaseModel, ValidationError

from artifacts.lineage.audit import differences
from artifacts.lineage.cache_key import StepCall
from artifacts.lineage.known_code import kept_in
from artifacts.lineage.manifest import StepRecord, manifests
from artifacts.storage import cache_entries
from artifacts.storage.settings import Settings
from artifacts.storage.store import Ref
from flows.plan import PATIENCE, Plan
from flows.publication.outcome import Outcome, Stopped
from flows.publication.publish import publish, stop
from flows.publication.registration import is_decided
from flows.recorded_run import recorded_run
from flows.steps import (
    Results,
    baseline_of,
    champion_of,
    count_on_accepted,
    judge,
    prepare,
    refuse_unsuitable,
    train_and_score,
)
from tasks.caching import Step, ending_after, replaced_by
from tasks.data.datasets import SAMPLE
from tasks.evaluation.smoke_test import start_ahead
from tasks.registry.mlflow_client import Tracking


class Finding(BaseModel):
    """What a run would do with one step, and why.

    hit: the cache answers. miss: the step is computed. depends: an earlier step is computed, so this one is a hit only
    if that gives the same result as before.
    """

    name: str
    cache: Literal["hit", "miss", "depends"]
    reasons: list[str]


def preview(plan: Plan, settings: Settings, refreshes: bool = False) -> list[Finding]:
    """Go through the steps of a training run without running any. `refreshes`: Prefect is set to use no cache."""
    lookup = _Lookup(plan, settings, refreshes)
    with ending_after(plan.until):
        _look_up(plan, lookup, settings)
    return lookup.findings


def repeat_unchanged(plan: Plan, settings: Settings, started: float) -> Outcome | Stopped | None:
    """The outcome of a training run in which nothing changed, as a recorded run that needs no Prefect.

    None if the cache lacks a step's result, or if no run has decided on the model yet: then the flow must run.
    """
    store, lookup, results = settings.artifacts, _Lookup(plan, settings), None
    with ending_after(plan.until):
        results = _look_up(plan, lookup, settings)
    if any(finding.cache != "hit" for finding in lookup.findings):
        return None
    if results and plan.until:  # a step that this run does not have: the flow says so
        return None
    if results and not is_decided(plan, results, store):
        return None
    with recorded_run(plan, settings, f"unchanged-{secrets.token_hex(3)}", in_flow=False) as run:
        for call, seconds, entry in lookup.hits:
            cache_entries.replicate(store, call.key, entry)
            run.note(call, True, seconds, cache_entries.result_of(entry))
        if results is None:
            return stop(plan, run, started)
        return publish(plan, results, run, started=started, in_flow=False)


def silent_mirrors(plan: Plan, settings: Settings, refreshes: bool = False) -> dict[str, str]:
    """Why no mirror of the data set answers, by URL; empty if one does, or if none is needed."""
    if not plan.mirrors.urls:
        return {}
    lookup = _Lookup(plan, settings, refreshes)
    with kept_in(settings.artifacts), replaced_by(lookup):
        prepare(plan, settings)
    if lookup.findings[0].cache == "hit":
        return {}
    from tasks.data.mirrors import unanswered

    return unanswered(plan.mirrors, PATIENCE)


def check_own_data(plan: Plan, settings: Settings, refreshes: bool = False) -> list[str]:
    """Read and check people's own data, unless an earlier run did, and hold them against the champion of that name.

    Returns the warnings. Raises InvalidData with every problem, or UsageError if no model could be compared.
    """
    if plan.place is None:
        return []
    lookup, warnings = _Lookup(plan, settings, refreshes), list[str]()
    with kept_in(settings.artifacts), replaced_by(lookup):
        data = prepare(plan, settings).data
    if lookup.findings[-1].cache != "hit":
        from tasks.data.inspection.inspect import refuse_unsound

        data, warnings = refuse_unsound(plan.source, plan.place, settings.artifacts)
    refuse_unsuitable(plan, data, settings)
    return warnings


def describe_silence(plan: Plan, reasons: dict[str, str]) -> str:
    """What to tell a person when no mirror answers, for these reasons by URL."""
    tried = "; ".join(f"{url} ({reason})" for url, reason in reasons.items())
    return (
        f"no mirror of {plan.source.name} answers: {tried}; check the network, name another mirror in "
        f"DIGITFLOW_MIRRORS, or train on the {SAMPLE} that needs none: --dataset {SAMPLE}"
    )


def _look_up(plan: Plan, lookup: "_Lookup", settings: Settings) -> Results:
    """The steps of a training run, answered by `lookup`. The results of missing steps are pending."""
    with kept_in(settings.artifacts), replaced_by(lookup):
        validated = prepare(plan, settings)
        learned = train_and_score(plan, validated.data, settings)
        weights: Any = learned.trained.weights
        is_known = isinstance(weights, Ref)
        baseline: Any = baseline_of(plan, learned, validated.data.test.images, settings) if is_known else weights
        counts = count_on_accepted(plan, learned, baseline, settings)
        judged = judge(plan, validated, learned, baseline=baseline, settings=settings, counts_on_new_images=counts)
        return Results(validated, learned, judged)


class _Pending:
    """The result of a step that a run would compute; every attribute and item of it is pending too."""

    def __init__(self, step: str):
        self.step = step

    def __getattr__(self, name: str) -> "_Pending":
        return self

    def __getitem__(self, index: int) -> "_Pending":
        return self


class _Lookup:
    """Stands in for the steps: answers from the cache, or with a `_Pending`, and keeps the findings."""

    def __init__(self, plan: Plan, settings: Settings, refreshes: bool = False):
        self._store, self._refresh, self._refreshes = settings.artifacts, plan.refresh, refreshes
        self._dataset = plan.source.name
        self.findings: list[Finding] = []
        self.hits: list[tuple[StepCall, float, bytes]] = []
        """The calls that the cache answers, the seconds of each look-up, and the cache entries."""

    @cached_property
    def _earlier(self) -> list[tuple[str, StepRecord]]:
        """The steps of all runs, the latest first, each with the data set of its run."""
        return [(manifest.dataset, step) for manifest in manifests(self._store) for step in manifest.steps]

    def __call__(self, step: Step[Any, Any], arguments: dict[str, Any]) -> Any:
        started = time.perf_counter()
        pending = {value.step for value in arguments.values() if isinstance(value, _Pending)}
        if pending:
            return self._note(step, "depends", [f"on the result of {', '.join(sorted(pending))}"])
        if self._refreshes or step.name in self._refresh:
            why = "PREFECT_TASKS_REFRESH_CACHE is set" if self._refreshes else "it is to be computed again"
            return self._note(step, "miss", [why])
        call = step.describe(arguments)
        entry = cache_entries.get(self._store, call.key)
        if entry is not None:
            self._note(step, "hit", [])
            self.hits.append((call, time.perf_counter() - started, entry))
            return step.typed(cache_entries.result_of(entry))
        earlier = [(dataset, record) for dataset, record in self._earlier if record.name == step.name]
        records = [record for _, record in earlier]
        same = next((record for record in records if record.key == call.key), None)
        if same:  # its code and inputs are the same, so its result will be
            placeholder = self._note(step, "miss", ["the stored result is gone or damaged"])
            try:
                return step.typed(same.result)
            except ValidationError:  # the manifest is damaged too
                return placeholder
        own = [record for dataset, record in earlier if dataset == self._dataset]
        return self._note(step, "miss", differences([record.call for record in own or records], call))

    def _note(self, step: Step[Any, Any], cache: Literal["hit", "miss", "depends"], reasons: list[str]) -> _Pending:
        self.findings.append(Finding(name=step.name, cache=cache, reasons=reasons))
        return _Pending(step.name)


_warmed: set[Plan] = set()


def warm_up(plan: Plan, settings: Settings) -> None:
    """Start, once a plan, what its steps will need: Keras, the process of the smoke test, MLflow's database."""
    if plan in _warmed:
        return
    _warmed.add(plan)
    missing = {finding.name for finding in preview(plan, settings) if finding.cache != "hit"}
    if "train" in missing:
        champion_of(plan, settings)  # one that is unreadable or lost is an error now, not after training
    if missing & {"train", "evaluate", "evaluate-champion"}:
        import tasks.model.keras_setup  # noqa: F401
    if "save-weights" in missing:
        start_ahead()  # not before: a server that is starting needs the other core
    if "check-gate" in missing:
        Tracking(settings.home).open()
