"""The results as Markdown."""

from statistics import median
from typing import Any

from tests.benchmarks.peers.peers import PEERS

FAULTS = {
    "deep edit": "a function edited three calls deep",
    "bit flip": "one bit flipped in the kept images",
    "bit flip, times kept": "the same, the file's times kept",
    "comment": "a comment edited: computed",
    "library": "a library upgraded",
    "killed in training": "killed in training: goes on from",
    "killed in a write": "killed in a write of the images",
    "two at once": "two runs at once: trained",
}
"""The columns, by the names of the faults."""


def table(results: dict[str, Any]) -> str:
    """One row a peer; seconds are medians."""
    heads = ["", "first run, s", "nothing changed, s", *FAULTS.values()]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for name, found in results["peers"].items():
        faults = (found["faults"].get(fault, "") for fault in FAULTS)
        seconds = (f"{median(found[key]):.1f}" if found[key] else "" for key in ("first", "again"))
        lines.append(f"| {' | '.join((PEERS[name].title, *seconds, *faults))} |")
    notes = [
        f"{PEERS[name].title}: the first run in which nothing changed computed {', '.join(found['unsettled'])} again; "
        "the seconds are of the next."
        for name, found in results["peers"].items()
        if found["unsettled"]
    ]
    return "\n".join([*lines, "", *notes, "", results["machine"]])
