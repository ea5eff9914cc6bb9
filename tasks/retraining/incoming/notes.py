"""What is known of a batch besides its files? Where it came from, for which data set, and what a person decided."""

import contextlib
import getpass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field, ValidationError

from artifacts.storage.home import BATCH_NOTES
from artifacts.storage.store import Store

Origin = Literal["", "added", "fetched", "corrections"]
"""By `digitflow data add`, from the URL in DIGITFLOW_INBOX, or made of people's corrections of the champion."""


class Decision(BaseModel, frozen=True):
    """What a person decided about a batch, and why. `at` is UTC; `by` is the user's name, if the system tells it."""

    reason: str
    by: str = Field(default_factory=lambda: user_name())
    at: datetime = Field(default_factory=lambda: datetime.now(UTC))


class Note(BaseModel, frozen=True):
    """A batch's data set, origin, number of images, when it arrived (UTC) and who handed it in, as far as known.

    `released`: a person let it in, so that what it was set aside for does not stop it again. `stamp`: of the files that
    were fetched, to tell whether they have changed.
    """

    dataset: str = ""
    origin: Origin = ""
    by: str = ""
    at: datetime | None = None
    images: int | None = None
    released: Decision | None = None
    stamp: str = ""

    @property
    def source(self) -> str:
        """From whom the batch is, in a word; empty if nobody knows."""
        return {"corrections": "corrections", "fetched": "DIGITFLOW_INBOX"}.get(self.origin, self.by)


def write_note(batch: str, note: Note, home: Path) -> None:
    """Keep the note of a batch with that name, in place of an earlier one."""
    Store(home).write(_name(batch), note.model_dump_json().encode())


def read_note(batch: str, home: Path) -> Note:
    """The note of a batch with that name; an empty one if there is none, or if it is damaged."""
    with contextlib.suppress(OSError, ValidationError):
        return Note.model_validate_json((home / _name(batch)).read_bytes())
    return Note()


def user_name() -> str:
    """The name of the user whose process this is; empty if the system does not tell it."""
    with contextlib.suppress(Exception):  # without an entry for the user, Pythons raise different errors
        return getpass.getuser()
    return ""


def _name(batch: str) -> str:
    return f"{BATCH_NOTES}/{batch}.json"
