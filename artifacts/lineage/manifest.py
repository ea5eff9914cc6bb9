"""The manifest of a run: its parameters, steps and result. It is saved after each step, so a killed run has one too."""

import contextlib
import hashlib
from collections.abc import Iterator
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, Field, FiniteFloat, ValidationError, field_validator, model_validator

from artifacts.errors import UsageError
from artifacts.interrupts import is_interrupted
from artifacts.lineage.cache_key import StepCall
from artifacts.lineage.environment import machine
from artifacts.storage.eviction import Needed
from artifacts.storage.home import RUNS, STARTING_LOCK, is_locked, locked
from artifacts.storage.store import Kind, Ref, Store, references

REPORT_KINDS = frozenset({"json", "html", "weights.h5"})
"""The kinds of a run's report, verdict and model. Arrays are not among them: a run can compute them again."""

TOLD_TO_END = "its process was told to end"
INTERRUPTIONS = {
    "KeyboardInterrupt": "by Ctrl-C",
    "SystemExit": TOLD_TO_END,  # Prefect makes one of the signal, or raises its own
    "TerminationSignal": TOLD_TO_END,
}
"""What the exceptions that end a run from outside are called, by the names of their types."""

_current: ContextVar["Run | None"] = ContextVar("run", default=None)


class StepRecord(BaseModel):
    """One step of a run: its call, its result as JSON, and the seconds that it took."""

    name: str
    cached: bool
    seconds: float
    key: str
    call: StepCall
    result: Any
    replaced: Any = None
    """The result that the cache held, if the step was computed although nothing changed."""

    @property
    def equal(self) -> dict[str, bool]:
        """Of a step that was computed again: whether each part of its result is as it was, by its place in it."""
        before = dict(parts(self.replaced))
        return {place: before.get(place) == part for place, part in parts(self.result)} if before else {}

    @field_validator("result")
    @classmethod
    def _has_valid_references(cls, result: Any) -> Any:
        list(references(result))
        return result


FinalStatus = Literal["passed", "rejected", "compared", "stopped", "failed", "interrupted"]
"""The gate passed or rejected the model; or the run compared variants, which no gate judges; or it ended after the step
that it was asked to end after; or it did not finish."""


class Manifest(BaseModel):
    """The record of a run. Times are UTC in ISO 8601."""

    schema_version: Literal[1, 2] = 2
    """1, up to November 2026, has no `weights`, `test` and `baseline`: they are read from the steps."""
    run: str
    status: Literal["running"] | FinalStatus = "running"
    dataset: str
    recipe: str
    seed: int
    hyperparameters: dict[str, Any]
    gate: dict[str, Any]
    accuracy: FiniteFloat | None = None
    registry: str | None = None
    version: int | None = None
    """The registry and the version in it, once the model is registered."""
    weights: Ref | None = None
    """The registered weights."""
    test: Ref | None = None
    """The raw test images on which they were judged."""
    baseline: dict[str, Any] | None = None
    """What they were compared with, as JSON."""
    error: str | None = None
    started: AwareDatetime
    ended: AwareDatetime | None = None
    machine: dict[str, str | int] = Field(default_factory=lambda: machine())
    steps: list[StepRecord] = []
    exports: dict[str, Ref] = {}
    """Files for people, by their path below the home."""

    @model_validator(mode="after")
    def _read_schema_1(self) -> "Manifest":
        if self.schema_version == 1 and self.version is not None:
            steps = {step.name: step for step in self.steps}
            with contextlib.suppress(KeyError, TypeError):
                self.weights = Ref.model_validate(steps["train"].result["weights"])
                self.test = Ref.model_validate(steps["download"].result["test"]["images"])
                self.baseline = steps["check-gate"].call.inputs["opponent"]
        return self


class Run:
    """A run in progress. Steps find it with `Run.current()`."""

    def __init__(self, store: Store, manifest: Manifest):
        self.store, self.manifest = store, manifest
        self._computed: dict[str, StepRecord] = {}
        self.folder = f"{RUNS}/{manifest.run}"

    @staticmethod
    def current() -> "Run | None":
        return _current.get()

    @classmethod
    @contextlib.contextmanager
    def recording(cls, store: Store, **fields: Any) -> Iterator["Run"]:
        """A run with these fields. While the context is open, steps record themselves in it, and so does an error."""
        run = cls(store, Manifest(started=_now(), **fields))
        token = _current.set(run)
        try:
            with contextlib.ExitStack() as alive:
                with locked(store.home, STARTING_LOCK):
                    run.save()
                    alive.enter_context(locked(store.home, _alive_lock(run.manifest)))
                yield run
        except BaseException as error:
            kind = "KeyboardInterrupt" if is_interrupted() else type(error).__name__
            is_from_outside = kind in INTERRUPTIONS or not isinstance(error, Exception)  # others wait for a person
            words = INTERRUPTIONS.get(kind) or str(error) or kind
            run.finish("interrupted" if is_from_outside else "failed", error=words)
            raise
        finally:
            _current.reset(token)

    def note(self, call: StepCall, cached: bool, seconds: float, result: Any, replaced: Any = None) -> None:
        """Add a finished step. A step that this run computed before `start_over` counts as computed."""
        if cached and (computed := self._computed.get(call.key)):
            cached, seconds, replaced = False, computed.seconds, computed.replaced
        plain = result.model_dump(mode="json") if isinstance(result, BaseModel) else result
        self.manifest.steps.append(
            StepRecord(
                name=call.task,
                cached=cached,
                seconds=round(seconds, 3),
                key=call.key,
                call=call,
                result=plain,
                replaced=replaced,
            )
        )
        self.save()

    def has_computed(self, key: str) -> bool:
        """Whether this run computed the call with this key before `start_over`."""
        return key in self._computed

    def export(self, ref: Ref, name: str) -> Path:
        """Copy an artifact to `home/name`, for people and other programs, and record it."""
        path = self.store.export(ref, name)
        self.manifest.exports[name] = ref
        return path

    def write(self, content: bytes, kind: Kind, name: str) -> Path:
        """Write a file that is of this run alone to `home/name`, for people, and record its digest."""
        self.manifest.exports[name] = Ref(sha256=hashlib.sha256(content).hexdigest(), kind=kind)
        return self.store.write(name, content)

    def start_over(self) -> None:
        """Clear the steps, because the run repeats them."""
        self._computed |= {step.key: step for step in self.manifest.steps if not step.cached}
        self.manifest.steps.clear()

    def finish(self, status: FinalStatus, **fields: Any) -> None:
        """Record the end of the run, with these fields of the manifest."""
        self.manifest = self.manifest.model_copy(update={"status": status, "ended": _now(), **fields})
        with contextlib.suppress(Exception) if status in ("failed", "interrupted") else contextlib.nullcontext():
            self.save()  # the error that ended the run matters more than an error here

    def save(self) -> None:
        self.store.write(f"{self.folder}/manifest.json", self.manifest.model_dump_json(indent=1).encode())


def manifests(store: Store) -> Iterator[Manifest]:
    """The readable manifests in the store, the latest first."""
    for path in sorted(_paths(store), reverse=True):
        with contextlib.suppress(OSError, ValidationError):
            manifest = Manifest.model_validate_json(path.read_bytes())
            if manifest.run == path.parent.name:  # else it is a copy
                yield manifest


def damaged_manifests(store: Store) -> list[Path]:
    """The manifests that cannot be read."""
    readable = {manifest.run for manifest in manifests(store)}
    return [path for path in _paths(store) if path.parent.name not in readable]


def parts(result: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """The references and other values in a result, by their places, such as "train.images"."""
    if isinstance(result, dict) and "sha256" not in result:
        for name, value in result.items():
            yield from parts(value, f"{place}.{name}" if place else name)
    elif result is not None:
        yield place or "result", result


def find_manifest(store: Store, run: str) -> Manifest:
    """The manifest of a run, by its name or an unambiguous part of it. Raises UsageError."""
    matches = [manifest for manifest in manifests(store) if run and run in manifest.run]
    exact = [manifest for manifest in matches if manifest.run == run]
    if len(exact or matches) != 1:
        which = ", ".join(manifest.run for manifest in matches[:5]) or "none"
        raise UsageError(f"{run!r} must match one run, but it matches {which}; see: digitflow runs")
    return (exact or matches)[0]


def is_alive(store: Store, manifest: Manifest) -> bool:
    """Whether the process of the run is still running. A killed run's is not, though its status says "running"."""
    return manifest.status == "running" and is_locked(store.home, _alive_lock(manifest))


def needed_by_runs(store: Store) -> Needed:
    """What runs need: all of a running one, and the report, verdict and model of a finished one.

    While a manifest is damaged, the needs of its run are unknown, so every report, verdict and model is needed.
    """
    names: set[str] = set()
    since = float("inf")
    for manifest in manifests(store):
        alive = is_alive(store, manifest)
        if alive:
            since = min(since, manifest.started.timestamp())
        for step in manifest.steps:
            names |= {ref.name for ref in references(step.result) if alive or ref.kind in REPORT_KINDS}
    kinds = REPORT_KINDS if damaged_manifests(store) else frozenset[str]()
    return Needed(frozenset(names), kinds, since)


def _paths(store: Store) -> Iterator[Path]:
    return (store.home / RUNS).glob("*/manifest.json")


def _alive_lock(manifest: Manifest) -> str:
    return f"{RUNS}/{manifest.run}/alive.lock"


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
