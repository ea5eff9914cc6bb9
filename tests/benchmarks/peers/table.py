"""The results as Markdown: what each peer serves after a change, and seconds and kills."""

from collections.abc import Iterable
from statistics import median
from typing import Any

from tests.benchmarks.peers.peers import PEERS

CHANGES = {
    "deep edit": "a function three calls deep is edited",
    "library": "a library is upgraded",
    "comment": "comments are edited",
    "bit flip": "a bit of the kept images flips",
    "bit flip, times kept": "the same, with the file's times kept",
}
KILLS = {
    "killed in training": "killed in training: goes on from",
    "killed in a write": "killed in a write of the images",
    "two at once": "two runs at once train",
}
"""The columns, by the names of the faults."""


def table(results: dict[str, Any]) -> str:
    """Two tables with a row a peer, what did not settle at once, and the machine. Seconds are medians."""
    peers = results["peers"]
    changes = [[PEERS[name].title, *_cells(found, CHANGES)] for name, found in peers.items()]
    kills = [[PEERS[name].title, *_seconds(found), *_cells(found, KILLS)] for name, found in peers.items()]
    notes = [
        f"{PEERS[name].title}: the first run in which nothing changed computed {', '.join(found['unsettled'])} again; "
        "the seconds are of the next one."
        for name, found in peers.items()
        if found["unsettled"]
    ]
    timed = ("first run, s", "nothing changed, s")
    return "\n\n".join(
        [_markdown(CHANGES.values(), changes), _markdown((*timed, *KILLS.values()), kills), *notes, results["machine"]]
    )


def _cells(found: dict[str, Any], faults: dict[str, str]) -> list[str]:
    return [found["faults"].get(fault, "") for fault in faults]


def _seconds(found: dict[str, Any]) -> list[str]:
    return [f"{median(found[key]):.1f}" if found[key] else "" for key in ("first", "again")]


def _markdown(heads: Iterable[str], rows: list[list[str]]) -> str:
    """Rows of which only the title is filled are left out."""
    head = ["", *heads]
    lines = [head, ["---"] * len(head), *(row for row in rows if any(row[1:]))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
