"""How a step becomes a Prefect task whose result is looked up by content before it is computed."""

import contextlib
import importlib
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

from filelock import FileLock, Timeout
from prefect import Task
from prefect.cache_policies import CachePolicy
from prefect.context import TaskRunContext
from prefect.filesystems import WritableFileSystem
from prefect.locking.protocol import LockManager
from prefect.transactions import IsolationLevel
from prefect.utilities.callables import get_call_parameters

from artifacts.lineage.manifest import Run
from artifacts.lineage.progress import report_progress
from artifacts.lineage.step_call import StepCall
from artifacts.storage.cache_entries import recall, remember, share
from artifacts.storage.settings import Settings
from artifacts.storage.store import disk_errors
from tasks.training.checkpoints import Checkpoints, kept_in

P = ParamSpec("P")
R = TypeVar("R")
Stand = Callable[["Step[Any, Any]", dict[str, Any]], Any]

_stand_in: ContextVar[Stand | None] = ContextVar("stand_in", default=None)


@dataclass
class ByContent(CachePolicy):
    """Two calls are one if their inputs, reached code and shaping libraries are; see `artifacts.calls`."""

    def compute_key(
        self, task_ctx: TaskRunContext, inputs: dict[str, Any], flow_parameters: dict[str, Any], **_: Any
    ) -> str:
        step: Step[Any, Any] = task_ctx.task  # type: ignore[assignment]  # only steps have this policy
        return step.describe(inputs).key


class Records(WritableFileSystem):
    """Prefect's result records, in the store beside the bytes they name.

    Reading one whose bytes are gone or damaged fails, which Prefect takes for a miss.
    """

    _block_type_name = "digitflow records"

    def _resolve_path(self, path: str) -> None:
        """Keys are names here, not paths on the local disk; without this, Prefect takes them for such."""

    def read_path(self, path: str, **_: Any) -> bytes:  # type: ignore[override]
        store = Settings.load().artifacts
        content = recall(store, path)
        if content is None:
            raise FileNotFoundError(path)
        share(store, path, content)
        return content

    def write_path(self, path: str, content: bytes, **_: Any) -> None:  # type: ignore[override]
        remember(Settings.load().artifacts, path, content)


class Locks(LockManager):
    """One computation of a key at a time on this machine, by flock(2), which dies with its holder."""

    def __init__(self) -> None:
        self._held: dict[str, tuple[str, FileLock]] = {}

    def acquire_lock(
        self, key: str, holder: str, acquire_timeout: float | None = None, hold_timeout: float | None = None
    ) -> bool:
        if self.is_lock_holder(key, holder):
            return True
        lock = self._lock(key)
        try:
            with disk_errors(Settings.load().home):
                lock.acquire(timeout=-1 if acquire_timeout is None else acquire_timeout)
        except Timeout:
            return False
        self._held[key] = (holder, lock)
        return True

    def release_lock(self, key: str, holder: str) -> None:
        if not self.is_lock_holder(key, holder):
            raise ValueError(f"{holder} does not hold the lock of {key}")
        self._held.pop(key)[1].release()

    def is_locked(self, key: str) -> bool:
        return not self.wait_for_lock(key, timeout=0.0)

    def is_lock_holder(self, key: str, holder: str) -> bool:
        return key in self._held and self._held[key][0] == holder

    def wait_for_lock(self, key: str, timeout: float | None = None) -> bool:
        try:
            with disk_errors(Settings.load().home), self._lock(key).acquire(timeout=-1 if timeout is None else timeout):
                return True
        except Timeout:
            return False

    async def aacquire_lock(
        self, key: str, holder: str, acquire_timeout: float | None = None, hold_timeout: float | None = None
    ) -> bool:
        return self.acquire_lock(key, holder, acquire_timeout, hold_timeout)

    async def await_for_lock(self, key: str, timeout: float | None = None) -> bool:
        return self.wait_for_lock(key, timeout)

    @staticmethod
    def _lock(key: str) -> FileLock:
        folder = Settings.load().home / "locks"
        folder.mkdir(parents=True, exist_ok=True)
        return FileLock(folder / f"{key}.lock", thread_local=False)


RECORDS = Records()

BY_CONTENT = ByContent(isolation_level=IsolationLevel.SERIALIZABLE, lock_manager=Locks())


class Step(Task[P, R]):
    """A Prefect task that is cached by content and tells the current run what it did."""

    def __init__(self, fn: Callable[P, R], name: str, shaped_by: tuple[str, ...]):
        fn.__qualname__ = f"{fn.__name__}.fn"  # where it is found, so that it is pickled by name, not by value
        super().__init__(
            fn,
            name=name,
            cache_policy=BY_CONTENT,
            persist_result=True,
            result_serializer="json",
            cache_result_in_memory=False,  # each use verifies the bytes
        )
        self.result_storage = RECORDS  # not as an argument: there Prefect demands a block saved on a server
        self.shaped_by = shaped_by

    def __reduce__(self) -> tuple[Any, ...]:
        """By name: a process elsewhere that is sent a step has that step, with locks of its own."""
        return _step, (self.fn.__module__, self.fn.__name__)

    def describe(self, arguments: dict[str, Any]) -> StepCall:
        """Everything that decides the result of this step for these arguments."""
        return StepCall.of(self.name, self.fn, arguments, self.shaped_by)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:  # type: ignore[override]
        arguments = get_call_parameters(self.fn, args, kwargs)
        if stand_in := _stand_in.get():
            return stand_in(self, arguments)  # type: ignore[no-any-return]
        run = Run.current()
        if run is None:
            return super().__call__(*args, **kwargs)
        started, call = time.perf_counter(), self.describe(arguments)
        report_progress(self.name)
        with kept_in(Checkpoints(run.store, call.key)):
            state = super().__call__(*args, return_state=True, **kwargs)
            result: R = state.result()
        report_progress(self.name, done=1, total=1)
        run.note(call, state.name == "Cached", time.perf_counter() - started, result)
        return result


def _step(module: str, name: str) -> Any:
    return getattr(importlib.import_module(module), name)


@contextlib.contextmanager
def replaced_by(stand_in: Stand) -> Iterator[None]:
    """Inside, a step that is called does not run: `stand_in(step, arguments)` answers for it."""
    token = _stand_in.set(stand_in)
    try:
        yield
    finally:
        _stand_in.reset(token)


def step(name: str, shaped_by: tuple[str, ...] = ()) -> Callable[[Callable[P, R]], Step[P, R]]:
    """Declare a pipeline step. `shaped_by` names the libraries whose version can change its result."""

    def declare(function: Callable[P, R]) -> Step[P, R]:
        return Step(function, name, shaped_by)

    return declare
