"""The surroundings of a command that runs a flow: a Prefect server, progress, logs and native output."""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

from artifacts.lineage.progress import report_progress
from artifacts.storage.home import NATIVE_LOG, PREFECT
from artifacts.storage.settings import Settings
from flows.cli.output import log_on_stderr, progress_bars, redirect_native_stderr
from flows.cli.prefect_server import temporary_server
from flows.cli.servers import await_configured_server, flush_events, is_server_configured


@contextmanager
def session(settings: Settings, verbose: bool) -> Iterator[Callable[[], None]]:
    """Connect Prefect to the configured server, or start a server that ends with the command.

    Yields `wait_for_server`, a function that returns when the server answers: the caller can work until it needs it.
    """
    if not verbose:
        os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
    with redirect_native_stderr(settings.home / NATIVE_LOG), progress_bars(), log_on_stderr():
        report_progress("start")
        if is_server_configured():
            yield await_configured_server
            return
        with temporary_server(settings.home / PREFECT) as server, ExitStack() as while_open:

            def wait_for_server() -> None:
                server.wait()
                server.watch()
                while_open.enter_context(_without_heartbeats())

            try:
                yield wait_for_server
            finally:
                flush_events()


def _without_heartbeats() -> AbstractContextManager[object]:
    """Let runs send no heartbeats.

    On a server that ends with them, nobody looks for dead runs, and the end of a run waits up to a second for the
    thread that sends them (Prefect 3.8).
    """
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

    return temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None})
