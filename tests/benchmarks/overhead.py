"""What orchestration costs, in whole processes that take turns, so that ratios hold whatever the machine's speed.

    python tests/benchmarks/overhead.py --rounds 5

Cached: `digitflow train` beside a bare Prefect flow of as many trivial tasks. Cold: how much longer it takes than the
same functions called in one process (pure.py), beside the same bare flow, whose tasks do nothing. All talk to one
running server.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from flows.cli.prefect_server import Server

BARE = [sys.executable, str(Path(__file__).with_name("bare_flow.py"))]
PURE = [sys.executable, str(Path(__file__).with_name("pure.py"))]
OURS = [sys.executable, "-m", "flows.cli", "train", "--json"]
COMMANDS = [OURS, PURE, BARE]


def seconds(command: list[str], environment: dict[str, str]) -> float:
    """Wall time of a process that must succeed or be rejected by the gate."""
    started = time.perf_counter()
    finished = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if finished.returncode not in (0, 3):
        raise SystemExit(finished.stderr)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder) / "server")
        server.start()
        server.wait()
        common = os.environ | {"PREFECT_API_URL": server.url, "PREFECT_LOGGING_LEVEL": "ERROR"}

        def environment(command: list[str], number: int) -> dict[str, str]:
            home = f"{folder}/{number}-{COMMANDS.index(command)}"
            return common | {"PREFECT_HOME": f"{home}/prefect", "DIGITFLOW_HOME": home}

        rounds = range(arguments.rounds)
        try:
            cold = [[seconds(command, environment(command, i)) for command in COMMANDS] for i in rounds]
            cached = [[seconds(command, environment(command, 0)) for command in (OURS, BARE)] for _ in rounds]
        finally:
            server.stop()
    for title, rows in (("cached: train, bare", cached), ("cold: train, pure, bare", cold)):
        print(title, *(f"{median(column):.2f} s" for column in zip(*rows, strict=True)))
    print("cached, train / bare:", spread([ours / bare for ours, bare in cached]))
    print("cold, (train - pure) / bare:", spread([(ours - pure) / bare for ours, pure, bare in cold]))


def spread(ratios: list[float]) -> str:
    """Median, least and largest."""
    return f"median {median(ratios):.2f}, from {min(ratios):.2f} to {max(ratios):.2f}"


if __name__ == "__main__":
    main()
