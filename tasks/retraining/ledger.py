"""Which batches were accepted, which were withdrawn since, and are their arrays still there?"""

import hashlib
import io
import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ValidationError

from artifacts.errors import BadSource, DigitflowError, UsageError
from artifacts.storage.arrays import Labels, RawImages
from artifacts.storage.home import BATCHES, FITTED_BATCHES, KEPT_BATCHES
from artifacts.storage.store import Store
from tasks.data.datasets import Split
from tasks.monitoring.drift import Drift
from tasks.retraining.incoming.batch_formats import read_batch
from tasks.retraining.incoming.inbox import inbox_lock
from tasks.retraining.incoming.notes import Decision, Note
from tasks.retraining.judgement.label_check import LabelCheck


class Batch(BaseModel, frozen=True):
    """An accepted batch. `digest` identifies it by content, `added` is UTC.

    `repeats` are the names of later batches with the same images and labels. `left_out` is the number of its images
    that are not used: test images of the data set, and what cannot be read. `labels` is what the champion said of its
    labels; without it, `unjudged` says why, except in older records.
    """

    name: str
    digest: str
    data: Split
    added: datetime
    drift: tuple[Drift, ...]
    repeats: tuple[str, ...] = ()
    left_out: int = 0
    labels: LabelCheck | None = None
    unjudged: str = ""
    note: Note = Note()
    withdrawn: Decision | None = None
    """A person took it out again: nothing is learned from it."""


def all_batches(store: Store) -> Iterator[Batch]:
    """All records of all data sets, each with its data set's name. Raises DigitflowError if a ledger is damaged."""
    for path in sorted((store.home / BATCHES).glob("*.json")):
        for batch in _read(path):
            note = batch.note if batch.note.dataset else batch.note.model_copy(update={"dataset": path.stem})
            yield batch.model_copy(update={"note": note})


def accepted_batches(store: Store) -> Iterator[Batch]:
    """The batches of all data sets that are learned from. Raises DigitflowError if a ledger is damaged."""
    return (batch for batch in all_batches(store) if not batch.withdrawn)


def read_ledger(dataset: str, store: Store) -> list[Batch]:
    """The records of a data set, withdrawn ones too, in the order of their arrival.

    Raises DigitflowError if the ledger is damaged.
    """
    path = store.home / _name(dataset)
    return _read(path) if path.exists() else []


def splits_in_use(dataset: str, store: Store, max_bytes: int) -> tuple[Split, ...]:
    """The arrays of the batches of a data set that are learned from, restored if the store lost them.

    Raises DigitflowError if the ledger is damaged or an array cannot be restored.
    """
    batches = [batch for batch in read_ledger(dataset, store) if not batch.withdrawn]
    for batch in batches:
        restore_arrays(batch, store, max_bytes)
    return tuple(batch.data for batch in batches)


def withdraw_batch(dataset: str, name: str, decision: Decision, store: Store) -> Batch:
    """Take a batch out, so that the next retraining learns without it; its record, which is returned, stays.

    Raises UsageError if the data set has no batch of that name that is learned from.
    """
    with inbox_lock(store.home):
        records = read_ledger(dataset, store)
        for i, batch in enumerate(records):
            if batch.name == name and not batch.withdrawn:
                records[i] = batch.model_copy(update={"withdrawn": decision})
                write_ledger(dataset, records, store)
                return records[i]
    raise UsageError(f"{dataset} learns from no batch {name}; see: digitflow data")


def write_ledger(dataset: str, batches: list[Batch], store: Store) -> None:
    """Replace the ledger of a data set, atomically."""
    content = json.dumps([batch.model_dump(mode="json") for batch in batches], indent=1)
    store.write(_name(dataset), content.encode())


def store_batch(images: RawImages, labels: Labels, store: Store) -> Split:
    """Put the arrays of a batch into the store."""
    return Split(images=store.put(images), labels=store.put(labels))


def keep_fitted(batch: Batch, store: Store) -> None:
    """Keep the arrays of a batch whose files hold other ones, because the store may lose them."""
    content = io.BytesIO()
    np.savez_compressed(content, images=store.get(batch.data.images), labels=store.get(batch.data.labels))
    store.write(f"{FITTED_BATCHES}/{batch.digest}.npz", content.getvalue())


def content_digest(data: Split) -> str:
    """The SHA-256 that identifies a batch by its images and labels."""
    return hashlib.sha256(f"{data.images.sha256}{data.labels.sha256}".encode()).hexdigest()


def restore_arrays(batch: Batch, store: Store, max_bytes: int) -> None:
    """Read the arrays of an accepted batch from its files again, if the store lost them.

    Raises DigitflowError if the files are gone or are not those that were accepted.
    """
    if store.holds(batch.data.images) and store.holds(batch.data.labels):
        return
    path = _files(batch, store)
    try:
        if store_batch(*read_batch(path, store, max_bytes), store) == batch.data:
            return
        what = "it is not what was accepted"
    except BadSource as error:
        what = str(error)
    raise DigitflowError(f"an accepted batch is lost: {path}: {what}; restore it from a backup")


def is_there(batch: Batch, store: Store) -> bool:
    """Whether the arrays of an accepted batch, or files to restore them from, are in this home."""
    return (store.holds(batch.data.images) and store.holds(batch.data.labels)) or _files(batch, store).exists()


def _files(batch: Batch, store: Store) -> Path:
    fitted = store.home / FITTED_BATCHES / f"{batch.digest}.npz"
    return fitted if fitted.exists() else store.home / KEPT_BATCHES / batch.name


def _name(dataset: str) -> str:
    """One file for each data set: "/" is escaped."""
    return f"{BATCHES}/{dataset.replace('%', '%25').replace('/', '%2F')}.json"


def _read(path: Path) -> list[Batch]:
    try:
        return [Batch.model_validate(item) for item in json.loads(path.read_bytes())]
    except (ValueError, ValidationError) as error:
        raise DigitflowError(f"the ledger of batches {path} is damaged ({error}); restore it from a backup") from None
