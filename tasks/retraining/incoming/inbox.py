"""Where do labelled batches arrive, and how do they leave?"""

import contextlib
import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from artifacts.errors import DigitflowError, UsageError
from artifacts.storage.home import APPROVAL, BATCHES, INBOX, KEPT_BATCHES, QUARANTINE, disk_errors, locked
from tasks.data.datasets import BATCH_FORMATS
from tasks.data.reader.files import is_system_file, walk
from tasks.retraining.incoming.batch_formats import dataset_named_in, may_be_batch
from tasks.retraining.incoming.notes import Note, read_note, write_note


def add_batch(path: Path, home: Path, note: Note | None = None) -> Path:
    """Put a copy of a batch into the inbox, where it appears whole and after its note.

    Raises UsageError if it is no batch.
    """
    if not path.exists():
        raise UsageError(f"there is no {path}")
    if not may_be_batch(path):
        raise UsageError(f"{path} is no batch: give {BATCH_FORMATS}")
    with disk_errors(home):
        inbox = home / INBOX
        inbox.mkdir(parents=True, exist_ok=True)
        name = f"{datetime.now(UTC):%Y%m%d-%H%M%S-%f}-{path.name}"
        hidden = inbox / f".{name}"
        try:
            _copy(path, hidden)
            write_note(name, (note or Note()).model_copy(update={"at": datetime.now(UTC)}), home)
            return hidden.rename(inbox / name)
        except BaseException:
            shutil.rmtree(hidden, ignore_errors=True)
            raise


def _copy(path: Path, target: Path) -> None:
    """Copy a batch as it is read: without system files, pipes, links that lead nowhere or back, and locked files."""
    if not path.is_dir():
        shutil.copy2(path, target)
        return
    target.mkdir()
    for file in walk(path):
        if os.access(file, os.R_OK):
            copy = target / file.relative_to(path)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, copy)


def fetch_batches(url: str, home: Path) -> None:
    """Copy the new batches below an fsspec URL into the inbox. A name that arrived before is not fetched again.

    Raises DigitflowError if the URL cannot be read.
    """
    import fsspec

    with inbox_lock(home):
        try:
            files, root = fsspec.core.url_to_fs(url)
            for source in sorted(files.ls(root, detail=False)):
                name = source.rstrip("/").rpartition("/")[2]
                if not is_system_file(name) and not _arrived_before(name, home):
                    _fetch_batch(files, source, name, home)
        except Exception as error:  # each file system raises its own
            what = " ".join(str(error).split()) or type(error).__name__
            raise DigitflowError(f"the inbox {url} cannot be read: {what}; check DIGITFLOW_INBOX") from error


def waiting_batches(home: Path) -> list[Path]:
    """The batches in the inbox, in the order of their names."""
    return sorted(path for path in (home / INBOX).glob("*") if not is_system_file(path.name))


def owner(path: Path, home: Path) -> str | None:
    """The data set that a batch in the inbox is for, if its note or its file names one."""
    return read_note(path.name, home).dataset or dataset_named_in(path)


def move_batch(path: Path, folder: Path) -> None:
    """Move a batch out of the inbox. It replaces one of the same name."""
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / path.name
    if target.is_dir():
        shutil.rmtree(target)
    path.replace(target)


@contextlib.contextmanager
def inbox_lock(home: Path) -> Iterator[None]:
    """Inside, no other process on this machine takes from the inbox, for any data set. Nested use is one lock."""
    with locked(home, f"{BATCHES}/inbox.lock"), disk_errors(home):
        yield


def _arrived_before(name: str, home: Path) -> bool:
    return any((home / folder / name).exists() for folder in (INBOX, KEPT_BATCHES, APPROVAL, QUARANTINE))


def _fetch_batch(files: Any, source: str, name: str, home: Path) -> None:
    hidden = home / INBOX / ".fetched"
    shutil.rmtree(hidden, ignore_errors=True)  # an interrupted fetch may have left it
    hidden.mkdir(parents=True)
    files.get(source, str(hidden / name), recursive=True)
    write_note(name, Note(origin="fetched", at=datetime.now(UTC)), home)
    (hidden / name).replace(home / INBOX / name)
