"""How far a run is, told to whoever listens; silent otherwise."""

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar

Numbers = dict[str, int | float]
Listener = Callable[[str, Numbers], None]

_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)


def report_progress(step: str, **numbers: int | float) -> None:
    """Say how far `step` is: `done` of `total`, or an epoch's `loss` and `accuracy`."""
    if listener := _listener.get():
        listener(step, numbers)


@contextlib.contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Let `listener(step, numbers)` hear all that is told inside."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)
