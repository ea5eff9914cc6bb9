"""Measure the peers: the same work, the same faults, seconds of whole processes that take turns.

    python -m tests.benchmarks.peers --folder FOLDER --json peers.json
    python -m tests.benchmarks.peers --only digitflow,dvc --rounds 1

Each peer is installed at a pinned version in an environment of its own below FOLDER, once. The file that --json names
is written after each result, and a later call goes on from it.
"""

import argparse
import gzip
import json
import os
import platform
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from tests.benchmarks.peers import faults
from tests.benchmarks.peers.environments import environment
from tests.benchmarks.peers.peers import PEERS, Peer
from tests.benchmarks.peers.project import Finished, Project, programs_of
from tests.benchmarks.peers.table import table

Found = dict[str, Any]


def new_results() -> Found:
    """A peer's results before anything was measured: seconds of each round, and words by fault."""
    return {"first": [], "again": [], "unsettled": [], "faults": {}}


def measure(project: Project, found: Found, is_timed: bool, save: Callable[[], None] = lambda: None) -> None:
    """One round: an empty project, a first run, a run in which nothing changed; and once the faults.

    `save` is called after each result.
    """
    project.make()
    first = _done(project, project.run(project.peer.run))
    again = _done(project, project.run(project.peer.rerun))
    if again.events:
        found["unsettled"] = sorted({event["event"] for event in again.events} - {"trained", "epoch"})
        again = _done(project, project.run(project.peer.rerun))
    if is_timed:
        found["first"].append(round(first.seconds, 2))
        found["again"].append(round(again.seconds, 2))
        save()
    found["accuracy"] = first.first("save").get("accuracy")
    project.keep()
    sound = faults.Sound(first.first("train")["images"], project.pixels().stat().st_size)
    for name in missing(project.peer, found):
        if name in faults.AFTER_A_RUN:
            project.put_back()
        fault = (faults.AFTER_A_RUN | faults.FROM_NOTHING)[name]
        found["faults"][name] = _told(project, name, fault(project, sound))
        save()


def missing(peer: Peer, found: Found) -> list[str]:
    """The faults that have no result yet."""
    wanted = peer.faults or (*faults.AFTER_A_RUN, *faults.FROM_NOTHING)
    return [name for name in wanted if name not in found["faults"]]


def _told(project: Project, fault: str, result: str) -> str:
    last = project.output().strip().rpartition("\n")[2]
    print(f"{project.name}, {fault}: {result} ({last})", file=sys.stderr, flush=True)
    return result


def _done(project: Project, run: Finished) -> Finished:
    if not faults.is_done(run):
        raise SystemExit(f"{project.name} ended with {run.status}:\n{run.output[-3000:]}")
    return run


def write_sample(folder: Path) -> None:
    """The images that digitflow's `mnist-sample` has, as four gzipped IDX files."""
    from tasks.data import idx
    from tasks.data.datasets import FILES
    from tasks.data.download import load_sample

    folder.mkdir(parents=True)
    for name, array in zip(FILES, load_sample(), strict=True):
        (folder / f"{name}.gz").write_bytes(gzip.compress(idx.encode(array), 1))


def keep(path: Path | None, results: Found) -> None:
    """Write a file that is never half written."""
    if path:
        new = path.with_name(f".{path.name}")
        new.write_text(json.dumps(results, indent=1))
        new.replace(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default=",".join(PEERS), help=f"of {', '.join(PEERS)}; default: all")
    parser.add_argument("--rounds", type=int, default=3, help="of the seconds")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir(), "digitflow-peers"))
    parser.add_argument(
        "--data", type=Path, help="folder of four gzipped IDX files; default: the sample of 5,000 images"
    )
    parser.add_argument("--json", type=Path, help="write every result here, and go on from what it has")
    arguments = parser.parse_args()
    names = arguments.only.split(",")
    if unknown := set(names) - PEERS.keys():
        parser.error(f"no peer {min(unknown)!r}; there are {', '.join(PEERS)}")
    folder = arguments.folder.absolute()
    data = arguments.data.absolute() if arguments.data else folder / "sample"
    if not data.exists():
        if arguments.data:
            parser.error(f"--data {arguments.data} does not exist")
        write_sample(data)
    results: Found = {"machine": "", "peers": {}}
    if arguments.json and arguments.json.exists():
        results = json.loads(arguments.json.read_text())
    results["machine"] = (
        f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}; "
        f"{datetime.now(UTC):%Y-%m-%d}"
    )
    projects = []
    for name in names:
        results["peers"].setdefault(name, new_results())
        programs = programs_of(PEERS[name], partial(environment, folder))
        projects.append(Project(name, PEERS[name], folder, data, programs))
    results["peers"] = {name: results["peers"][name] for name in PEERS if name in results["peers"]}
    for number in range(arguments.rounds):
        for project in projects:
            found = results["peers"][project.name]
            is_timed = not project.peer.faults and len(found["first"]) <= number
            if is_timed or missing(project.peer, found):
                measure(project, found, is_timed, partial(keep, arguments.json, results))
                print(project.name, found, file=sys.stderr, flush=True)
    print(table(results))


if __name__ == "__main__":
    main()
