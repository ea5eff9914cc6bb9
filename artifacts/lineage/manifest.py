"""What a run did: a manifest that is kept up to date while it goes on, so that a killed run leaves one too."""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout
from pydantic import BaseModel, Field, ValidationError, field_validator

from artifacts.errors import UsageError
from artifacts.lineage.environment import machine
from artifacts.lineage.step_call import StepCall
from artifacts.storage.cache_entries import references
from artifacts.storage.store import Ref, Store, disk_errors

_current: ContextVar["Run | None"] = ContextVar("run", default=None)


class StepRecord(BaseModel):
    """One step of a run: what decided its result, the result's references, and what it cost."""

    name: str
    cached: bool
    seconds: float
    key: str
    call: StepCall
    result: Any

    @field_validator("result")
    @classmethod
    def _refers_well(cls, result: Any) -> Any:
        list(references(result))
        return result


Ending = Literal["passed", "rejected", "compared", "failed", "interrupted"]
"""A run that compared variants passed no verdict on a model."""


class Manifest(BaseModel):
    """What is known of a run. Times are UTC in ISO 8601."""

    schema_version: Literal[1] = 1
    run: str
    status: Literal["running"] | Ending = "running"
    dataset: str
    recipe: str
    seed: int
    hyperparameters: dict[str, Any]
    gate: dict[str, Any]
    accuracy: float | None = None
    registry: str | None = None
    version: int | None = None
    """Where and as what the model is registered; the run is then decided."""
    error: str | None = None
    started: datetime
    ended: datetime | None = None
    machine: dict[str, str | int] = Field(default_factory=lambda: machine())
    steps: list[StepRecord] = []
    exports: dict[str, Ref] = {}
    """Files of people's: path below the home, and what is in it."""


class Run:
    """A run under way, which steps find by `Run.current()`."""

    def __init__(self, store: Store, manifest: Manifest):
        self.store, self.manifest = store, manifest
        self._computed: dict[str, float] = {}
        self.folder = f"runs/{manifest.run}"

    @staticmethod
    def current() -> "Run | None":
        return _current.get()

    @classmethod
    @contextlib.contextmanager
    def recording(cls, store: Store, **facts: Any) -> Iterator["Run"]:
        """A run whose steps are noted, whose end is noted however it comes."""
        run = cls(store, Manifest(started=_now(), **facts))
        token = _current.set(run)
        try:
            with starting(store):
                run.save()
                alive = _life(store, run.manifest.run).acquire()
            with alive:
                yield run
        except BaseException as error:
            interrupted = not isinstance(error, Exception)  # by Ctrl-C, or suspended until somebody answers
            run.finish("interrupted" if interrupted else "failed", error=str(error) or type(error).__name__)
            raise
        finally:
            _current.reset(token)

    def note(self, call: StepCall, cached: bool, seconds: float, result: Any) -> None:
        """Add a finished step. One that this run computed before it started over counts as computed."""
        if cached and call.key in self._computed:
            cached, seconds = False, self._computed[call.key]
        plain = result.model_dump(mode="json") if isinstance(result, BaseModel) else result
        self.manifest.steps.append(
            StepRecord(name=call.task, cached=cached, seconds=round(seconds, 3), key=call.key, call=call, result=plain)
        )
        self.save()

    def export(self, ref: Ref, name: str) -> Path:
        """Copy an artifact to `home/name`, for people and other programs, and note it."""
        path = self.store.export(ref, name)
        self.manifest.exports[name] = ref
        return path

    def start_over(self) -> None:
        """Forget the steps: they are taken again."""
        self._computed |= {step.key: step.seconds for step in self.manifest.steps if not step.cached}
        self.manifest.steps.clear()

    def finish(self, status: Ending, **facts: Any) -> None:
        """Note how the run ended."""
        self.manifest = self.manifest.model_copy(update={"status": status, "ended": _now(), **facts})
        with contextlib.suppress(Exception) if status in ("failed", "interrupted") else contextlib.nullcontext():
            self.save()  # the error that ended the run matters more than one while noting it

    def save(self) -> None:
        self.store.write(f"{self.folder}/manifest.json", self.manifest.model_dump_json(indent=1).encode())


def manifests(store: Store) -> Iterator[Manifest]:
    """The manifests in the store, the latest first; unreadable ones are passed over."""
    for path in sorted((store.home / "runs").glob("*/manifest.json"), reverse=True):
        with contextlib.suppress(OSError, ValidationError):
            yield Manifest.model_validate_json(path.read_bytes())


def damaged_runs(store: Store) -> list[Path]:
    """Manifests that cannot be read, so that nobody knows what their runs need."""
    readable = {manifest.run for manifest in manifests(store)}
    return [path for path in (store.home / "runs").glob("*/manifest.json") if path.parent.name not in readable]


def find(store: Store, run: str) -> Manifest:
    """The manifest of a run, by its name or an unambiguous part of it. Raises UsageError."""
    matches = [manifest for manifest in manifests(store) if run and run in manifest.run]
    exact = [manifest for manifest in matches if manifest.run == run]
    if len(exact or matches) != 1:
        which = ", ".join(manifest.run for manifest in matches[:5]) or "none does"
        raise UsageError(f"{run!r} should name one run, but of the runs there, {which} match; see: digitflow runs")
    return (exact or matches)[0]


def is_alive(store: Store, manifest: Manifest) -> bool:
    """Whether the process of a run still goes on; a killed one does not."""
    if manifest.status != "running":
        return False
    try:
        with _life(store, manifest.run).acquire(timeout=0):
            return False
    except Timeout:
        return True
    except OSError:  # a disk that cannot be written has no run under way
        return False


@contextlib.contextmanager
def starting(store: Store) -> Iterator[None]:
    """Held while a run begins, and while artifacts are evicted: so eviction knows every run."""
    lock = FileLock(store.home / "starting.lock")
    with disk_errors(store.home):
        store.home.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _life(store: Store, run: str) -> FileLock:
    return FileLock(store.home / "runs" / run / "alive.lock")


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
