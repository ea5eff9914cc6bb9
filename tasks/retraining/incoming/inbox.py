"""Where do labelled batches arrive, and how do they leave?"""

import contextlib
import filecmp
import hashlib
import logging
import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from artifacts.errors import DigitflowError, UsageError, hide_passwords
from artifacts.storage.home import APPROVAL, BATCHES, INBOX, KEPT_BATCHES, QUARANTINE, disk_errors, locked
from artifacts.storage.remote import file_state, open_url
from artifacts.storage.store import canonical_json
from tasks.data.datasets import BATCH_FORMATS
from tasks.data.reader.files import is_system_file, walk
from tasks.retraining.incoming.batch_formats import dataset_named_in, may_be_batch
from tasks.retraining.incoming.notes import Note, read_note, write_note

LONGEST_STEM = 200
"""Bytes of a batch's name that are kept where it gets a mark, so that the whole fits into a file's name."""


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
    """Copy the new batches below an fsspec URL into the inbox. One that arrived before is fetched again only if its
    files have changed since, under a name of its own.

    Raises DigitflowError if the URL cannot be read.
    """
    with inbox_lock(home):
        failed: Exception | None = None
        try:
            files, root = open_url(url)
            sources = sorted(files.ls(root, detail=False))
        except Exception as error:  # each file system raises its own
            raise _unreadable(url, error) from error
        for source in sources:
            name = _base_name(source)
            try:
                if not is_system_file(name):
                    _fetch_batch(files, source, home)
            except Exception as error:  # one that cannot be read keeps no other from arriving
                if _arrived_before(name, home):
                    logging.getLogger(__name__).warning("%s arrived before and cannot be read again: %s", name, error)
                else:
                    failed = failed or error
        if failed:
            raise _unreadable(url, failed) from failed


def _unreadable(url: str, error: Exception) -> DigitflowError:
    what = " ".join(str(error).split()) or type(error).__name__
    return DigitflowError(hide_passwords(f"the inbox {url} cannot be read: {what}; check DIGITFLOW_INBOX"))


def same_batch(path: Path, home: Path) -> str | None:
    """The name of a batch with the same files as these that is in the inbox, was accepted, or is set aside."""
    arrived = [batch for folder in (INBOX, KEPT_BATCHES) for batch in (home / folder).glob("*")]
    aside = [batch / batch.name for folder in (APPROVAL, QUARANTINE) for batch in (home / folder).glob("*")]
    mine = _files_below(path)
    for known in sorted(batch for batch in (*arrived, *aside) if not is_system_file(batch.name) and batch.exists()):
        theirs = _files_below(known)
        if mine.keys() == theirs.keys() and all(filecmp.cmp(mine[n], theirs[n], shallow=False) for n in mine):
            return known.name
    return None


def _files_below(path: Path) -> dict[str, Path]:
    """The files of a batch, by their paths below it."""
    if not path.is_dir():
        return {path.suffix: path}
    return {str(file.relative_to(path)): file for file in walk(path) if os.access(file, os.R_OK)}


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


def _fetch_batch(files: Any, source: str, home: Path) -> None:
    name = _base_name(source)
    arrived = name if _arrived_before(name, home) else ""
    stamp = _stamp(files, source)
    if arrived:
        if read_note(name, home).stamp == stamp:
            return
        path = Path(name)
        stem = path.stem.encode()[:LONGEST_STEM].decode(errors="ignore")
        name = f"{stem}-{stamp[:8]}{path.suffix}"
        if _arrived_before(name, home):
            return
    hidden = home / INBOX / ".fetched"
    shutil.rmtree(hidden, ignore_errors=True)  # an interrupted fetch may have left it
    hidden.mkdir(parents=True)
    files.get(source, str(hidden / name), recursive=True)
    if arrived and same_batch(hidden / name, home):  # only its time has changed
        write_note(arrived, read_note(arrived, home).model_copy(update={"stamp": stamp}), home)
        shutil.rmtree(hidden)
        return
    write_note(name, Note(origin="fetched", at=datetime.now(UTC), stamp=stamp), home)
    (hidden / name).replace(home / INBOX / name)


def _arrived_before(name: str, home: Path) -> bool:
    return any((home / folder / name).exists() for folder in (INBOX, KEPT_BATCHES, APPROVAL, QUARANTINE))


def _base_name(source: str) -> str:
    return source.rstrip("/").rpartition("/")[2]


def _stamp(files: Any, source: str) -> str:
    """A digest of the names, sizes and times or tags of a batch's files, which differs once one of them is replaced."""
    states = {}
    for path, entry in files.find(source, detail=True).items():
        below = path.removeprefix(source)
        if not any(map(is_system_file, below.split("/"))):
            states[below] = file_state(files, path, entry)
    return hashlib.sha256(canonical_json(states)).hexdigest()
