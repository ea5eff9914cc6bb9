"""Prefect around one command: its API, its logs, and what native libraries print."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from artifacts.lineage.progress import report_progress
from artifacts.storage.settings import Settings
from flows.cli import output as console
from flows.cli.prefect_server import await_configured, embedded, flush, is_configured


@contextmanager
def session(settings: Settings, verbose: bool) -> Iterator[Callable[[], None]]:
    """Prefect's API for the duration of a command: the configured server's, or that of one of our own.

    Yields a function that returns when the server is up; much can be done meanwhile.
    """
    if not verbose:
        os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    with console.native_output_in(settings.home / "native.log"), console.live(), console.log_on_stderr():
        report_progress("start")
        if is_configured():
            yield await_configured
            return
        with embedded(settings.home / "prefect") as server:
            try:
                yield server.wait
            finally:
                flush()
