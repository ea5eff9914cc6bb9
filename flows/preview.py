"""Foretell what a run would take from the cache and why, and start early what it will need."""

from typing import Any, Literal, get_type_hints

from prefect.settings import PREFECT_TASKS_REFRESH_CACHE
from pydantic import BaseModel, TypeAdapter

from artifacts.lineage.audit import _differences
from artifacts.lineage.manifest import manifests
from artifacts.storage.cache_entries import recall, result
from artifacts.storage.settings import Settings
from artifacts.storage.store import Store
from flows.plan import Plan
from flows.steps import learn, prepare
from tasks.caching import Step, replaced_by
from tasks.evaluation.smoke_test import stand_by
from tasks.registry.mlflow_runs import Tracking


class Finding(BaseModel):
    """What would become of one step, and why.

    hit: served from the cache. miss: computed. depends: an earlier step is computed anew, so this one is a hit
    only if that comes out the same.
    """

    name: str
    cache: Literal["hit", "miss", "depends"]
    reasons: list[str]


def explain(plan: Plan, settings: Settings) -> list[Finding]:
    """Go through the steps of a run without running any."""
    oracle = _Oracle(settings.artifacts)
    with replaced_by(oracle):
        learn(plan, prepare(plan, settings), (), settings)
    return oracle.findings


class _Unknown:
    """The result of a step that would be computed anew; so is everything in it."""

    def __init__(self, step: str):
        self.step = step

    def __getattr__(self, name: str) -> "_Unknown":
        return self


class _Oracle:
    def __init__(self, store: Store):
        self._store = store
        self._earlier = [step for manifest in manifests(store) for step in manifest.steps]
        self.findings: list[Finding] = []

    def __call__(self, step: Step[Any, Any], arguments: dict[str, Any]) -> Any:
        awaited = {value.step for value in arguments.values() if isinstance(value, _Unknown)}
        if awaited:
            return self._find(step, "depends", [f"on what {', '.join(sorted(awaited))} will give"])
        if PREFECT_TASKS_REFRESH_CACHE.value():
            return self._find(step, "miss", ["PREFECT_TASKS_REFRESH_CACHE is set"])
        call = step.describe(arguments)
        content = recall(self._store, call.key)
        if content is not None:
            self._find(step, "hit", [])
            return _typed(step, result(content))
        before = [record for record in self._earlier if record.name == step.name]
        same = next((record for record in before if record.key == call.key), None)
        if same:  # its code and inputs are the same, so its result will be
            self._find(step, "miss", ["the stored result is gone or damaged"])
            return _typed(step, same.result)
        return self._find(step, "miss", _differences(before, call))

    def _find(self, step: Step[Any, Any], cache: Literal["hit", "miss", "depends"], reasons: list[str]) -> _Unknown:
        self.findings.append(Finding(name=step.name, cache=cache, reasons=reasons))
        return _Unknown(step.name)


def _typed(step: Step[Any, Any], value: Any) -> Any:
    data = value["data"] if isinstance(value, dict) and "__class__" in value else value
    return TypeAdapter(get_type_hints(step.fn)["return"]).validate_python(data)


_done: set[Plan] = set()


def warm_up(plan: Plan, settings: Settings) -> None:
    """Start what the steps of a plan that are not in the cache will need, once a plan."""
    if plan in _done:
        return
    _done.add(plan)
    missing = {finding.name for finding in explain(plan, settings) if finding.cache != "hit"}
    if missing & {"train", "evaluate", "evaluate-champion"}:
        import tasks.model.keras_setup  # noqa: F401
    if "save-weights" in missing:
        stand_by(settings.artifacts)  # not before: a server that is starting needs the other core
    if "check-gate" in missing:
        Tracking(settings.home).open()
