"""Which batches were refused, which wait for a person, and why?"""

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from artifacts.storage.home import APPROVAL, QUARANTINE
from artifacts.storage.store import Store
from tasks.retraining.inbox import move_batch

Place = Literal["approval", "quarantine"]
"""A batch in `approval` waits for a person. One in `quarantine` breaks a contract, or drifted where that is refused."""
FOLDERS: dict[Place, str] = {"approval": APPROVAL, "quarantine": QUARANTINE}


class SetAside(NamedTuple):
    """A batch that nothing is learned from: where it is, the path of its report, and the report."""

    name: str
    place: Place
    path: Path
    report: dict[str, Any]

    @property
    def reason(self) -> str:
        return str(self.report.get("reason", "no reason kept"))


def set_aside(
    path: Path, place: Place, report: Mapping[str, Any], store: Store, files: Mapping[str, bytes] | None = None
) -> None:
    """Move a batch from the inbox to a folder of its own, with a report beside it, and other files.

    The report is a JSON value, with the reason in a few words as `reason`.
    """
    folder = f"{FOLDERS[place]}/{path.name}"
    report_file = {"report.json": json.dumps(report, indent=1).encode()}
    for name, content in {**(files or {}), **report_file}.items():
        store.write(f"{folder}/{name}", content)
    move_batch(path, store.home / folder)


def batches_aside(store: Store) -> Iterator[SetAside]:
    """The batches that wait for a person, then those in quarantine. The report is empty if it is damaged."""
    for place, folder in FOLDERS.items():
        for path in sorted((store.home / folder).glob("*/report.json")):
            name, report = path.parent.name, {}
            if not (path.parent / name).exists():  # its process ended before the batch moved, or after it left
                continue
            with contextlib.suppress(ValueError, OSError):
                report = dict(json.loads(path.read_bytes()))
            yield SetAside(name, place, path, report)
