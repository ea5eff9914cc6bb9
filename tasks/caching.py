"""A step: a function whose result is looked up by content before it is computed.

A step is a plain object until a flow runs it, so that a preview and a unit test need no Prefect, whose import takes a
second. `Step.task` is the Prefect task that a flow runs.
"""

import contextlib
import functools
import inspect
import shutil
import time
from collections.abc import Callable, Collection, Iterator
from contextvars import ContextVar
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, get_type_hints

from pydantic import TypeAdapter

from artifacts.lineage.cache_key import StepCall
from artifacts.lineage.manifest import Run
from artifacts.lineage.progress import report_progress
from artifacts.storage import cache_entries
from artifacts.storage.home import CHECKPOINTS
from artifacts.storage.store import Store

if TYPE_CHECKING:
    from tasks.prefect_tasks import StepTask

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
StandIn = Callable[["Step[Any, Any]", dict[str, Any]], Any]

_stand_in: ContextVar[StandIn | None] = ContextVar("stand_in", default=None)
_resume_folder: ContextVar[Path | None] = ContextVar("resume_folder", default=None)
_refreshed: ContextVar[Collection[str]] = ContextVar("refreshed", default=())
_last: ContextVar[str] = ContextVar("last", default="")


class _Reached(Exception):
    """The step after which the run ends has ended."""


class Step(Generic[P, R]):
    """A pipeline step. Called inside a flow, it runs as a Prefect task and is noted in the manifest of the run.

    `fn` is the function itself, for unit tests. `shaped_by` names the libraries whose version can change its result.
    A step that is not `cached` is computed each time and is not noted.
    """

    def __init__(self, fn: Callable[P, R], name: str, shaped_by: tuple[str, ...], cached: bool):
        self.fn, self.name, self.shaped_by, self.cached = fn, name, shaped_by, cached
        functools.update_wrapper(self, fn)
        fn.__qualname__ = f"{fn.__name__}.fn"  # where the function is found, so that it is pickled by name

    def __reduce__(self) -> str:
        """By name: a process elsewhere that is sent a step uses its own."""
        return self.fn.__name__

    def describe(self, arguments: dict[str, Any]) -> StepCall:
        """Everything that decides the result of this step for these arguments."""
        return StepCall.of(self.name, self.fn, arguments, self.shaped_by)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        bound = inspect.signature(self.fn).bind(*args, **kwargs)
        bound.apply_defaults()
        result = self._answer(bound.arguments)
        if self.name == _last.get():
            raise _Reached
        return result

    def _answer(self, arguments: dict[str, Any]) -> R:
        if stand_in := _stand_in.get():
            return stand_in(self, arguments)  # type: ignore[no-any-return]
        run = Run.current()
        if run is None:
            return self.typed(self.task(**arguments))
        report_progress(self.name)
        result = self._noted(arguments, run) if self.cached else self.typed(self.task(**arguments))
        report_progress(self.name, done=1, total=1)
        return result

    def typed(self, value: Any) -> R:
        """A result from plain JSON values, as a cache entry and a manifest hold it."""
        return self._result_type.validate_python(value) if self.cached else value  # type: ignore[no-any-return]

    @cached_property
    def task(self) -> "StepTask":
        """This step as a Prefect task, whose results are plain JSON values."""
        from tasks.prefect_tasks import StepTask

        return StepTask(self)

    @cached_property
    def task_that_refreshes(self) -> "StepTask":
        """As `task`, but computed although the cache has a result, which the new one replaces."""
        from tasks.prefect_tasks import StepTask

        return StepTask(self, refreshes=True)

    @property
    def task_to_run(self) -> "StepTask":
        """The task that `refreshing` asks for."""
        return self.task_that_refreshes if self.name in _refreshed.get() else self.task  # type: ignore[return-value]

    @cached_property
    def _result_type(self) -> Any:  # a TypeAdapter, which beartype does not know as a generic
        return TypeAdapter(get_type_hints(self.fn)["return"])

    def _noted(self, arguments: dict[str, Any], run: Run) -> R:
        started, call = time.perf_counter(), self.describe(arguments)
        task = self.task if run.has_computed(call.key) else self.task_to_run
        before = cache_entries.get(run.store, call.key) if task is not self.task else None
        with _resumable(run.store, call.key):
            state = task(**arguments, return_state=True)
            plain = state.result()
        replaced = cache_entries.result_of(before) if before else None
        run.note(call, state.name == "Cached", time.perf_counter() - started, plain, replaced)
        return self.typed(plain)


def step(name: str, shaped_by: tuple[str, ...] = (), cached: bool = True) -> Callable[[Callable[P, R]], Step[P, R]]:
    """Declare a pipeline step; see `Step`."""

    def declare(function: Callable[P, R]) -> Step[P, R]:
        return Step(function, name, shaped_by, cached)

    return declare


def resume_folder() -> Path | None:
    """The folder in which the step that runs may keep what it needs to go on after a kill; None outside a run.

    The folder need not exist. It stays until the step's result is recorded.
    """
    return _resume_folder.get()


@contextlib.contextmanager
def _within(variable: ContextVar[T], value: T) -> Iterator[None]:
    """Inside, the variable has this value."""
    token = variable.set(value)
    try:
        yield
    finally:
        variable.reset(token)


@contextlib.contextmanager
def _resumable(store: Store, key: str) -> Iterator[None]:
    folder = store.home / CHECKPOINTS / key
    with _within(_resume_folder, folder):
        yield
    for path in folder.glob("*"):
        if store.remote:
            store.remote.remove(f"{CHECKPOINTS}/{key}/{path.name}")
    shutil.rmtree(folder, ignore_errors=True)


def refreshing(names: Collection[str]) -> contextlib.AbstractContextManager[None]:
    """Inside, steps with these names are computed, once a run, although the cache has their results."""
    return _within(_refreshed, names)


@contextlib.contextmanager
def ending_after(name: str) -> Iterator[None]:
    """Leave the block as soon as the step with this name has ended; "": run it to its end."""
    with _within(_last, name), contextlib.suppress(_Reached):
        yield


def replaced_by(stand_in: StandIn) -> contextlib.AbstractContextManager[None]:
    """Inside, a step that is called does not run: `stand_in(step, arguments)` answers for it."""
    return _within(_stand_in, stand_in)
