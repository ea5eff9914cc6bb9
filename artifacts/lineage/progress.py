"""How far a run is, told to whoever listens; silent otherwise."""

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar

Facts = dict[str, int | float]
Listener = Callable[[str, Facts], None]

_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)


def tell(step: str, **facts: int | float) -> None:
    """Say how far `step` is: `done` of `total`, or an epoch's `loss` and `accuracy`."""
    if listener := _listener.get():
        listener(step, facts)


@contextlib.contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Let `listener(step, facts)` hear all that is told inside."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)
