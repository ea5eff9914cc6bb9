"""A fully cached `digitflow train` beside a bare Prefect flow of as many trivial cached tasks, both as whole processes.

    python tests/benchmarks/overhead.py --rounds 5

Both talk to one running server. They take turns, so the ratio holds although the machine's speed drifts.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from flows.server import Server

BARE = [sys.executable, str(Path(__file__).with_name("bare_flow.py"))]
OURS = [sys.executable, "-m", "flows.cli", "train", "--json"]


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
    parser.add_argument("--dataset", default="mnist")
    arguments = parser.parse_args()
    ours = [*OURS, "--dataset", arguments.dataset]
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder) / "server")
        server.start()
        server.wait()
        environment = os.environ | {
            "PREFECT_API_URL": server.url,
            "PREFECT_HOME": f"{folder}/prefect",
            "DIGITFLOW_HOME": f"{folder}/home",
            "PREFECT_LOGGING_LEVEL": "ERROR",
        }
        for command in (BARE, ours):
            seconds(command, environment)
        pairs = [(seconds(ours, environment), seconds(BARE, environment)) for _ in range(arguments.rounds)]
        server.stop()
    cached, bare = (median(column) for column in zip(*pairs, strict=True))
    ratios = sorted(a / b for a, b in pairs)
    print(f"cached train {cached:.2f} s, bare flow {bare:.2f} s")  # noqa: T201
    print(f"ratio, pair by pair: median {median(ratios):.2f}, from {ratios[0]:.2f} to {ratios[-1]:.2f}")  # noqa: T201


if __name__ == "__main__":
    main()
