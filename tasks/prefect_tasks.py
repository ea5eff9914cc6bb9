"""Steps as Prefect tasks: the cache policy, where results are kept, and the locks. Imported when a flow runs a step."""

import functools
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from filelock import FileLock, Timeout
from prefect import Flow, Task
from prefect.cache_policies import NO_CACHE, CachePolicy
from prefect.context import TaskRunContext
from prefect.filesystems import WritableFileSystem
from prefect.locking.protocol import LockManager
from prefect.transactions import IsolationLevel, get_transaction
from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from artifacts.errors import LeaseLost
from artifacts.lineage.cache_key import StepCall
from artifacts.storage import cache_entries
from artifacts.storage.home import LOCKS, disk_errors
from artifacts.storage.leases import LeasedLock, require_lease
from artifacts.storage.settings import Settings


@dataclass
class ByContent(CachePolicy):
    """Two calls share a key if their inputs, the code they reach and the versions in `shaped_by` are equal."""

    def compute_key(
        self, task_ctx: TaskRunContext, inputs: dict[str, Any], flow_parameters: dict[str, Any], **_: Any
    ) -> str:
        task: StepTask = task_ctx.task  # type: ignore[assignment]  # only steps have this policy
        return task.step.describe(inputs).key


class CacheEntries(WritableFileSystem):
    """Prefect's result records, in the store beside the bytes they name.

    Reading one whose bytes are gone or damaged fails, which Prefect takes for a miss.
    """

    _block_type_name = "digitflow records"

    def _resolve_path(self, path: str) -> None:
        """Keys are names here, not paths on the local disk; without this, Prefect takes them for such."""

    def read_path(self, path: str, **_: Any) -> bytes:  # type: ignore[override]
        store = Settings.load().artifacts
        content = cache_entries.get(store, path)
        if content is None:
            raise FileNotFoundError(path)
        cache_entries.replicate(store, path, content)
        return content

    def write_path(self, path: str, content: bytes, **_: Any) -> None:  # type: ignore[override]
        cache_entries.put(Settings.load().artifacts, path, content)


class Locks(LockManager):
    """One computation of a key at a time.

    On this machine it is a lock by flock(2), which dies with its holder; with DIGITFLOW_LOCKS, on all machines that
    share them, a lease.
    """

    def __init__(self) -> None:
        self._held: dict[str, tuple[str, FileLock | LeasedLock]] = {}

    def acquire_lock(
        self, key: str, holder: str, acquire_timeout: float | None = None, hold_timeout: float | None = None
    ) -> bool:
        if self.is_lock_holder(key, holder):
            return True
        lock = self._lock(key)
        try:
            with disk_errors(Settings.load().home):
                lock.acquire(timeout=-1.0 if acquire_timeout is None else acquire_timeout)
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
            with (
                disk_errors(Settings.load().home),
                self._lock(key).acquire(timeout=-1.0 if timeout is None else timeout),
            ):
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
    def _lock(key: str) -> FileLock | LeasedLock:
        settings = Settings.load()
        if settings.locks:
            return LeasedLock(settings.locks, key)
        folder = settings.home / LOCKS
        folder.mkdir(parents=True, exist_ok=True)
        return FileLock(folder / f"{key}.lock", thread_local=False)


CACHE_ENTRIES = CacheEntries()


def keep_plain(pipeline: Flow[Any, Any]) -> None:
    """Let a flow hold plain JSON only: its parameters, and in the store the exception with which a run failed.

    Prefect would import FastAPI to make parameters plain, which takes a seventh of a second.
    """
    pipeline.result_storage = CACHE_ENTRIES
    pipeline.serialize_parameters = to_jsonable_python  # type: ignore[assignment,method-assign]


BY_CONTENT = ByContent(isolation_level=IsolationLevel.SERIALIZABLE, lock_manager=Locks())


MAX_LOST_LEASES = 20
"""How often a step that lost its lock waits for it again: then it takes the result of the machine that has it, or
continues from its checkpoint."""


@runtime_checkable
class CallableStep(Protocol):
    """What a `Step` is here; see tasks.caching."""

    fn: Callable[..., Any]
    name: str
    cached: bool

    def describe(self, arguments: dict[str, Any]) -> StepCall: ...


class StepTask(Task[Any, Any]):
    """A step as a Prefect task. Its results are plain JSON values, so that no cache entry names a class."""

    def __init__(self, step: CallableStep, refreshes: bool = False):
        self.step = step
        super().__init__(
            _returning_plain(step.fn) if step.cached else step.fn,
            name=step.name,
            cache_policy=BY_CONTENT if step.cached else NO_CACHE,
            persist_result=step.cached,
            refresh_cache=True if refreshes else None,  # None: as Prefect is set
            result_serializer="json",
            cache_result_in_memory=False,  # each use verifies the bytes
            retries=MAX_LOST_LEASES,
            retry_condition_fn=_has_lost_its_lease,
        )
        if step.cached:
            self.result_storage = CACHE_ENTRIES  # not as an argument: there Prefect demands a block saved on a server

    def __reduce__(self) -> tuple[Any, ...]:
        """By name: a process elsewhere that is sent a step has that step, with locks of its own."""
        return _task, (self.step.fn.__module__, self.step.fn.__name__, bool(self.refresh_cache))


def _returning_plain(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def returning_plain(*args: Any, **kwargs: Any) -> Any:
        result = function(*args, **kwargs)
        if transaction := get_transaction():
            require_lease(str(transaction.key))  # another machine may have recorded a result meanwhile
        return result.model_dump(mode="json") if isinstance(result, BaseModel) else result

    returning_plain.__qualname__ = f"{function.__name__}.task.fn"  # where it is found, so that it is pickled by name
    return returning_plain


def _has_lost_its_lease(task: Any, run: Any, state: Any) -> bool:
    return isinstance(state.data, LeaseLost)


def _task(module: str, name: str, refreshes: bool) -> StepTask:
    step = getattr(importlib.import_module(module), name)
    task: StepTask = step.task_that_refreshes if refreshes else step.task
    return task
