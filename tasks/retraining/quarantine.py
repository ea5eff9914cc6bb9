"""Which batches were refused, which wait for a person, and why?"""

import contextlib
import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from artifacts.errors import UsageError
from artifacts.storage.home import APPROVAL, INBOX, QUARANTINE
from artifacts.storage.store import Store
from tasks.retraining.incoming.inbox import inbox_lock, move_batch
from tasks.retraining.incoming.notes import Decision, read_note, write_note

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


def withdraw_waiting(name: str, decision: Decision, store: Store) -> None:
    """Take a batch out of the inbox, before anything learns from it. Raises UsageError if it is no longer there."""
    with inbox_lock(store.home):
        path = store.home / INBOX / name
        if not path.exists():
            raise UsageError(f"{name} is no longer in the inbox; see: digitflow data")
        note = read_note(name, store.home)
        report = {"reason": f"withdrawn: {decision.reason}", "dataset": note.dataset, "at": decision.at.isoformat()}
        set_aside(path, "quarantine", report, store)


def release_batch(batch: SetAside, decision: Decision, store: Store) -> None:
    """Put a batch back into the inbox, with a note that a person let it in. Its form is judged again, but no more.

    Raises UsageError if its form is what it was refused for, or if its report does not tell.
    """
    if not batch.report:
        raise UsageError(f"{batch.path} is damaged, so nobody knows why {batch.name} was refused; add the batch again")
    if batch.report.get("errors"):
        raise UsageError(
            f"{batch.name} cannot be learned from, whoever asks: {batch.reason}; correct it, and add it again"
        )
    home, folder = store.home, batch.path.parent
    with inbox_lock(home):
        if not (folder / batch.name).exists():
            raise UsageError(f"{batch.name} is no longer in {folder}; see: digitflow data")
        note = read_note(batch.name, home).model_copy(update={"released": decision})
        if not note.dataset:
            note = note.model_copy(update={"dataset": batch.report.get("dataset", "")})
        write_note(batch.name, note, home)
        move_batch(folder / batch.name, home / INBOX)
        shutil.rmtree(folder)
