"""What a person waits for: whole processes that take turns with their reference, so that ratios hold on any machine.

    make bench-start    python -m tests.benchmarks.start --rounds 5 first unchanged

Each row is the median of its rounds. MNIST comes over loopback HTTP from the folder that DIGITFLOW_TEST_MNIST names;
without one, the rows that need it are left out, aloud. Memory is that of the largest process.
"""

import argparse
import functools
import http.server
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Literal, NamedTuple

ROOT = Path(__file__).parents[2]
Command = tuple[str, ...]

PYTHON = sys.executable
OURS: Command = (str(Path(PYTHON).with_name("digitflow")),)
TRAIN: Command = (*OURS, "train", "--json")
IMPORT_PREFECT: Command = (PYTHON, "-c", "import prefect")
IMPORT_KERAS: Command = (PYTHON, "-c", "import keras")
BARE_FLOW: Command = (PYTHON, str(Path(__file__).with_name("bare_flow.py")))
PLAIN: Command = (PYTHON, "-m", "tests.benchmarks.plain")


class Cost(NamedTuple):
    """Of one process: wall seconds, and the largest resident memory of it and its children, in GB."""

    seconds: float
    gigabytes: float


class Pair(NamedTuple):
    """What one row of the table compares, and how."""

    title: str
    ours: list[Cost]
    reference: list[Cost]
    unit: str
    """Of the reference, such as "a plain script"; "" if the row is in seconds alone."""
    reach: float
    of: Literal["seconds", "gigabytes"] = "seconds"
    """The cost that counts."""

    def line(self) -> str:
        """The row as Markdown."""
        sign = {"seconds": "s", "gigabytes": "GB"}[self.of]
        ours, reference = ([getattr(cost, self.of) for cost in costs] for costs in (self.ours, self.reference))
        if not reference:
            return f"| {self.title} | {median(ours):.2f} {sign} | | | {self.reach} {sign} |"
        ratios = [a / b for a, b in zip(ours, reference, strict=True)]
        spread = f"{median(ratios):.2f} × ({min(ratios):.2f} to {max(ratios):.2f})"
        against = f"{self.unit}: {median(reference):.2f} {sign}"
        return f"| {self.title} | {median(ours):.2f} {sign} | {against} | {spread} | {self.reach} × |"


class Bench:
    """Runs commands in homes under a scratch folder."""

    def __init__(self, scratch: Path, rounds: int, mirror: str | None):
        self._scratch, self._rounds, self.mirror = scratch, rounds, mirror
        self.in_use = scratch / "in-use"
        """A home in which one model was trained."""

    def cost(self, command: Command, home: Path | str, statuses: tuple[int, ...] = (0,), **variables: str) -> Cost:
        """Run a command to its end. It must end with one of the statuses."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("DIGITFLOW_", "PREFECT_"))}
        environment = kept | {"DIGITFLOW_HOME": str(home), "DIGITFLOW_MIRRORS": self.mirror or ""} | variables
        with (self._scratch / "output").open("w+b") as output:
            started = time.perf_counter()
            process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=output)
            _, status, usage = os.wait4(process.pid, 0)
            seconds = time.perf_counter() - started
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode not in statuses:
                output.seek(0)
                raise SystemExit(f"{' '.join(command)} ended with {process.returncode}:\n{output.read().decode()}")
        return Cost(seconds, usage.ru_maxrss * 1024 / 1e9)

    def turns(self, *measured: Callable[[int], Cost]) -> list[list[Cost]]:
        """Each command's costs; the commands take turns, and each round begins with another one."""
        costs: list[list[Cost]] = [[] for _ in measured]
        for number in range(self._rounds):
            for i in range(len(measured)):
                j = (i + number) % len(measured)
                costs[j].append(measured[j](number))
        return costs

    def new_home(self) -> Path:
        return Path(tempfile.mkdtemp(dir=self._scratch))


def first(bench: Bench) -> Iterator[Pair]:
    """The first training in an empty home, no server named."""
    weights = str(bench.new_home())
    ours, plain, verbatim = bench.turns(
        lambda _: bench.cost(TRAIN, bench.new_home()),
        lambda _: bench.cost((*PLAIN, bench.mirror or "", weights), weights),
        lambda _: bench.cost((*PLAIN, bench.mirror or "", weights, "--verbatim"), weights),
    )
    yield Pair("first `train`", ours, plain, "the steps in a plain script", 1.6)
    yield Pair("first `train`", ours, verbatim, "the tutorial's script", 0.8)
    yield Pair("first `train`, peak memory", ours, verbatim, "the tutorial's script", 0.5, "gigabytes")


def unchanged(bench: Bench) -> Iterator[Pair]:
    """The same command again, no server named."""
    ours, reference = bench.turns(
        lambda _: bench.cost(TRAIN, bench.in_use), lambda _: bench.cost(IMPORT_PREFECT, bench.in_use)
    )
    yield Pair("`train`, nothing changed", ours, reference, "`import prefect`", 0.8)


def server(bench: Bench) -> Iterator[Pair]:
    """The same command again, a server named."""
    from flows.cli.prefect_server import Server

    running = Server(bench.new_home())
    running.start()
    try:
        running.wait()
        named = {"PREFECT_API_URL": running.url, "PREFECT_HOME": str(bench.new_home())}
        for command in (TRAIN, BARE_FLOW):
            bench.cost(command, bench.in_use, **named)
        ours, reference = bench.turns(
            lambda _: bench.cost(TRAIN, bench.in_use, **named), lambda _: bench.cost(BARE_FLOW, bench.in_use, **named)
        )
    finally:
        running.stop()
    yield Pair("`train`, nothing changed, a server named", ours, reference, "a bare flow of as many tasks", 1.1)


def verbs(bench: Bench) -> Iterator[Pair]:
    """What only looks."""
    for words, reach in (("explain-cache", 0.6), ("models", 0.4), ("runs", 0.4), ("data", 0.4), ("cache", 0.4)):
        command = (*OURS, *words.split())
        ours, reference = bench.turns(
            functools.partial(lambda command, _: bench.cost(command, bench.in_use), command),
            lambda _: bench.cost(IMPORT_PREFECT, bench.in_use),
        )
        yield Pair(f"`{words}`", ours, reference, "`import prefect`", reach)


def answers(bench: Bench) -> Iterator[Pair]:
    """Help, and errors that need no library."""
    for words, status in (
        ("--help", 0),
        *((f"{verb} --help", 0) for verb in ("train", "experiment", "explain-cache", "cache", "runs", "verify")),
        *((f"{verb} --help", 0) for verb in ("models", "data", "predict", "serve")),
        ("trian", 2),
        ("predict missing.png", 2),
        ("train --dataset missing", 2),
        ("train --recipe missing", 2),
        ("experiment --variants missing", 2),
    ):
        command = (*OURS, *words.split())
        (ours,) = bench.turns(
            functools.partial(lambda command, status, _: bench.cost(command, bench.in_use, (status,)), command, status)
        )
        yield Pair(f"`{words}`", ours, [], "", 0.3)


def predict(bench: Bench) -> Iterator[Pair]:
    """One picture, cold."""
    from PIL import Image, ImageDraw

    picture = bench.new_home() / "one.png"
    image = Image.new("L", (200, 200), 255)
    ImageDraw.Draw(image).line((100, 30, 100, 170), fill=0, width=16)
    image.save(picture)
    ours, reference = bench.turns(
        lambda _: bench.cost((*OURS, "predict", str(picture)), bench.in_use),
        lambda _: bench.cost(IMPORT_KERAS, bench.in_use),
    )
    yield Pair("`predict one.png`", ours, reference, "`import keras`", 0.8)


def mirrors(bench: Bench) -> Iterator[Pair]:
    """No mirror answers, and no fallback is asked for."""
    nowhere = "http://127.0.0.1:9/"
    command = (*OURS, "train", "--dataset", "mnist")
    (ours,) = bench.turns(lambda _: bench.cost(command, bench.new_home(), (1,), DIGITFLOW_MIRRORS=nowhere))
    yield Pair("`train`, no mirror answers", ours, [], "", 9)


def install(_: Bench) -> Iterator[Pair]:
    """What `make run` installs, in a copy of the tracked files."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["git", "clone", "--quiet", str(ROOT), folder], check=True)
        started = time.perf_counter()
        subprocess.run(["make", "setup"], cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        seconds = time.perf_counter() - started
        listing = [f"{folder}/.venv/bin/uv", "pip", "freeze", "--python", f"{folder}/.venv/bin/python"]
        packages = subprocess.run(listing, check=True, capture_output=True, text=True).stdout.count("\n")
        size = sum(path.stat().st_blocks for path in Path(folder, ".venv").rglob("*") if not path.is_symlink()) * 512
    print(
        f"| `make run` installs | {packages} packages, {size / 1e9:.1f} GB, {seconds:.0f} s | | | 140, 2.2 GB, 35 s |"
    )
    yield from ()


GROUPS = {
    function.__name__: function for function in (first, unchanged, server, verbs, answers, predict, mirrors, install)
}


@contextmanager
def serve_mnist() -> Iterator[str | None]:
    """The URL of a loopback mirror of the real MNIST, if its folder is named."""
    folder = os.environ.get("DIGITFLOW_TEST_MNIST")
    if not folder:
        yield None
        return
    handler = functools.partial(_Quiet, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as mirror:
        threading.Thread(target=mirror.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{mirror.server_port}/"
        mirror.shutdown()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=f"of {', '.join(GROUPS)}; default: all")
    arguments = parser.parse_args()
    if unknown := set(arguments.groups) - GROUPS.keys():
        parser.error(f"no group {min(unknown)!r}")
    scratch = Path(tempfile.mkdtemp())
    try:
        with serve_mnist() as mirror:
            bench = Bench(scratch, arguments.rounds, mirror)
            asked = arguments.groups or list(GROUPS)
            groups = [name for name in asked if mirror or name != "first"]
            if groups != asked:
                print("left out: first, because DIGITFLOW_TEST_MNIST names no folder with the real MNIST")
            dataset = "mnist" if mirror else "mnist-sample"
            global TRAIN
            TRAIN = (*TRAIN, "--dataset", dataset)
            bench.cost(TRAIN, bench.in_use)
            print("| what | | reference | ratio, median (least to largest) | reach |\n|---|---|---|---|---|")
            for name in groups:
                for pair in GROUPS[name](bench):
                    print(pair.line(), flush=True)
    finally:
        shutil.rmtree(scratch)


if __name__ == "__main__":
    main()
