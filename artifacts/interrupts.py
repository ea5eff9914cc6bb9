"""Ctrl-C in a process that does one command: it is not lost, and an error that it causes is known as its work.

A library may lose the KeyboardInterrupt that Python raises in it, or raise an error of its own in its place: TensorFlow
does both while it traces a function.
"""

import _thread
import atexit
import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from types import FrameType

INTERRUPTED = 130
"""The exit status of a command that Ctrl-C ends, as shells count it: 128 plus the number of the signal."""
REPEATED_AFTER = 1.0
"""Seconds after which a KeyboardInterrupt that nothing handles is raised again."""

_is_typed = _is_repeat = False


def watch_interrupts() -> None:
    """From now on, repeat Ctrl-C until the main thread handles it. A process that ignores it goes on to.

    Call this before other modules register what they do at the end of the process.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt)
        atexit.register(_exit)  # as the first, so that it is called last
        sys.unraisablehook = _drop_interrupts


def ignore_late_interrupts() -> None:
    """From now on, Ctrl-C ends the process without a word: it has nothing left to do."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def is_interrupted() -> bool:
    """Whether Ctrl-C has been typed since `watch_interrupts`, and not been forgotten."""
    return _is_typed


@contextlib.contextmanager
def until_interrupted() -> Iterator[None]:
    """Ctrl-C ends the block, and nothing more."""
    with contextlib.suppress(KeyboardInterrupt):
        yield
    forget_interrupts()


def forget_interrupts() -> None:
    """Ctrl-C that was typed until now has no effect any more, such as when all is done although it was lost."""
    global _is_typed
    _is_typed = False


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Raise KeyboardInterrupt. A repeat does so only if the first is not being handled."""
    global _is_typed, _is_repeat
    is_repeat, _is_repeat = _is_repeat, False
    if is_repeat and (not _is_typed or _is_by_interrupt(sys.exc_info()[1])):
        return
    if not _is_typed:
        _is_typed = True
        _thread.start_new_thread(_repeat, ())  # threading's start takes a lock, which we may have interrupted
    raise KeyboardInterrupt


def _repeat() -> None:
    global _is_repeat
    while True:
        time.sleep(REPEATED_AFTER)
        if not _is_typed or signal.getsignal(signal.SIGINT) is not _interrupt:
            return
        _is_repeat = True
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)  # this wakes it, if it waits


def _is_by_interrupt(error: BaseException | None) -> bool:
    """Whether a KeyboardInterrupt is this error, or what it was raised from or in."""
    seen: set[int] = set()  # `raise a from b` makes a circle if b was raised in the handling of a
    while error and id(error) not in seen and not isinstance(error, KeyboardInterrupt):
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return isinstance(error, KeyboardInterrupt)


def _exit() -> None:
    """End with INTERRUPTED. Python kills the process if Ctrl-C met the `exec` of a string, as in dataclasses."""
    if _is_typed:
        for stream in filter(None, (sys.stdout, sys.stderr)):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(INTERRUPTED)


def _drop_interrupts(unraisable: "sys.UnraisableHookArgs") -> None:
    """Say nothing of a KeyboardInterrupt that Python could not raise: it is repeated."""
    if unraisable.exc_type is not KeyboardInterrupt:
        sys.__unraisablehook__(unraisable)
