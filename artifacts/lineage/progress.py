"""Progress of a run, for a listener; without one, nothing happens."""

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar

Numbers = dict[str, int | float]
Listener = Callable[[str, Numbers], None]

_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)


def report_progress(step: str, **numbers: int | float) -> None:
    """Report the progress of `step`: `done` of `total`, or the `loss` and `accuracy` of an epoch."""
    if listener := _listener.get():
        listener(step, numbers)


@contextlib.contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Inside, each report calls `listener(step, numbers)`."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)
