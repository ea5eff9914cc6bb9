"""Foretell what a run would take from the cache, and name what changed where it would not."""

import re
from collections.abc import Iterator
from typing import Any, Literal, get_type_hints

from prefect.settings import PREFECT_TASKS_REFRESH_CACHE
from pydantic import BaseModel, TypeAdapter

from artifacts.calls import Call
from artifacts.records import recall, result
from artifacts.runs import StepRecord, earlier_runs
from artifacts.settings import Settings
from artifacts.store import Store
from flows.pipeline import learn, prepare
from flows.plan import Plan
from tasks.caching import Step, replaced_by


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
        self._earlier = [step for manifest in earlier_runs(store) for step in manifest.steps]
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


def _differences(before: list[StepRecord], call: Call) -> list[str]:
    """What sets `call` apart from the nearest earlier call of the step, the latest of several."""
    candidates = [list(_changes(record.call, call)) for record in before]
    return min(candidates, key=len) if candidates else ["it has not run before"]


def _changes(old: Call, new: Call) -> Iterator[str]:
    for name, (was, now) in _unequal(_flat(old.inputs), _flat(new.inputs)):
        yield f"input {name}: {_short(was)} → {_short(now)}"
    for name, (was, now) in _unequal(old.code, new.code):
        module, function = name.split(":")
        what = "is new" if was is None else "is gone" if now is None else "changed"
        yield f"code: {function or 'the top level'} in {module.replace('.', '/')}.py {what}"
    for name, (was, now) in _unequal(old.libraries, new.libraries):
        yield f"library {name}: {was} → {now}"


def _unequal(old: dict[str, Any], new: dict[str, Any]) -> Iterator[tuple[str, tuple[Any, Any]]]:
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) != new.get(name):
            yield name, (old.get(name), new.get(name))


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """Nested JSON as dotted names; a reference is one value, its digest."""
    if isinstance(value, dict) and "sha256" in value:
        return {prefix: value["sha256"]}
    if not isinstance(value, dict):
        return {prefix: value}
    return {
        k: v for name, item in value.items() for k, v in _flat(item, f"{prefix}.{name}" if prefix else name).items()
    }


def _short(value: Any) -> str:
    text = re.sub(r"([0-9a-f]{12})[0-9a-f]{52}", r"\1…", str(value))
    return text if len(text) <= 60 else f"{text[:60]}…"
