"""The command `digitflow` in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

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
