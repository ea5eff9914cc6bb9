"""The command `digitflow` in a process of its own, as a user runs, interrupts and watches it."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx

ROOT = Path(__file__).parents[1]
COMMAND = (sys.executable, "-m", "flows.cli")

Finished = subprocess.CompletedProcess[str]


def environment(**variables: str | None) -> dict[str, str]:
    """This process's variables, some of them changed; None takes one away."""
    return {name: value for name, value in (os.environ | variables).items() if value is not None}


def digitflow(*arguments: object, command: tuple[str, ...] = COMMAND, **variables: str | None) -> Finished:
    """Run the command to its end, on pipes."""
    return subprocess.run(
        [*command, *map(str, arguments)],
        cwd=ROOT,
        env=environment(**variables),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
    )


@contextlib.contextmanager
def started(*arguments: str, **variables: str | None) -> Iterator[subprocess.Popen[str]]:
    """The running command, in a process group of its own, as in a terminal."""
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=ROOT,
        env=environment(**variables),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's & makes children ignore it
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def interrupt(process: subprocess.Popen[str]) -> Finished:
    """Type Ctrl-C and wait for the end."""
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    return Finished(process.args, process.returncode, out, err)


def assert_refused(run: Finished, status: int, *words: str) -> None:
    """The command exits with `status`, one line on stderr that has the words, and nothing on stdout."""
    assert run.stderr.startswith("digitflow: ") and run.stderr.count("\n") == 1, run.stderr
    assert run.returncode == status
    assert run.stdout == ""
    for word in words:
        assert word in run.stderr


def processes_with(variable: str) -> list[int]:
    """The processes that have `variable`, such as "DIGITFLOW_HOME=/tmp/x", in their environment."""
    pids = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if variable.encode() in path.read_bytes().split(b"\0"):
                pids.append(int(path.parent.name))
    return pids


def processes_of(home: Path) -> list[int]:
    """The processes that work in a home."""
    return processes_with(f"DIGITFLOW_HOME={home}")


def eventually(condition: Callable[[], object], seconds: float = 240) -> bool:
    """Whether the condition becomes true in time. A server that does not answer meanwhile is no error.

    It is asked less often the longer it takes: five times a second would keep a server as busy as the run itself does.
    """
    start = time.monotonic()
    while (waited := time.monotonic() - start) < seconds:
        with contextlib.suppress(httpx.HTTPError):
            if condition():
                return True
        time.sleep(min(0.1 + waited / 5, 1.0))
    return False
