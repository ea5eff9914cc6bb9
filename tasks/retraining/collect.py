"""Judge the labelled batches that arrived: accept them, recognise them, or set them aside."""

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel

from artifacts.errors import DigitflowError
from artifacts.storage.home import KEPT_BATCHES
from artifacts.storage.store import Store
from tasks.caching import step
from tasks.data.datasets import Splits
from tasks.registry.versions import Version
from tasks.retraining.batch_judge import BatchJudge, OnDrift, Refusal, Repeat
from tasks.retraining.incoming import feedback
from tasks.retraining.incoming.inbox import fetch_batches, inbox_lock, move_batch, owner, waiting_batches
from tasks.retraining.ledger import Batch, read_ledger, restore_arrays, write_ledger
from tasks.retraining.quarantine import Place, set_aside


class Arrivals(BaseModel):
    """What became of the batches in an inbox."""

    accepted: tuple[Batch, ...]
    """Every batch accepted so far, the new ones included."""
    new: tuple[Batch, ...]
    quarantined: dict[str, str]
    """The reason, by the name of the batch; so is the next."""
    waiting: dict[str, str] = {}
    """The batches that wait for a person, because the champion disagrees with their labels."""
    repeated: tuple[str, ...]
    """The names of batches whose content was known already."""


@step("collect", cached=False)
def collect(
    dataset: str,
    base: Splits,
    classes: int,
    *,
    champion: Version | None,
    on_drift: OnDrift,
    store: Store,
    inbox: str,
    max_bytes: int,
) -> Arrivals:
    """Fetch new batches below the URL `inbox`, if it is not empty, hand in all corrections, and judge every batch.

    The data set has `classes` classes and the splits `base`; batches of another data set stay where they are. The
    champion, if it can, checks the labels of each batch; its network is loaded only if a batch arrived. The arrays of
    batches that were accepted before are restored if the store lost them. Raises DigitflowError if the ledger is
    damaged.
    """
    new, repeated, aside = [], [], dict[Place, dict[str, str]](quarantine={}, approval={})
    with inbox_lock(store.home):
        if inbox:
            fetch_batches(inbox, store.home)
        feedback.hand_in(store.home)
        records = _restored_ledger(dataset, store, max_bytes)
        judge = BatchJudge(
            dataset, base, classes, records, champion=champion, on_drift=on_drift, store=store, max_bytes=max_bytes
        )
        for path in _batches_for(dataset, store.home):
            verdict = judge(path)
            if isinstance(verdict, Refusal):
                aside[verdict.place][path.name] = verdict.reason
                _set_aside(path, verdict, dataset, store)
                continue
            if isinstance(verdict, Repeat):
                repeated.append(path.name)
                records = [_note_repeat(batch, path.name, verdict) for batch in records]
            else:
                new.append(verdict)
                records.append(verdict)
            write_ledger(dataset, records, store)
            move_batch(path, store.home / KEPT_BATCHES)
    return Arrivals(
        accepted=tuple(batch for batch in records if not batch.withdrawn),
        new=tuple(new),
        quarantined=aside["quarantine"],
        waiting=aside["approval"],
        repeated=tuple(repeated),
    )


def _restored_ledger(dataset: str, store: Store, max_bytes: int) -> list[Batch]:
    """The batches that were accepted before, with their arrays in the store; of those that were withdrawn, as far as
    they can be had, to know them when they come again.
    """
    records = read_ledger(dataset, store)
    for batch in records:
        with contextlib.suppress(DigitflowError) if batch.withdrawn else contextlib.nullcontext():
            restore_arrays(batch, store, max_bytes)
    return records


def _batches_for(dataset: str, home: Path) -> Iterator[Path]:
    """The batches in the inbox that are for a data set, or that name none."""
    return (path for path in waiting_batches(home) if owner(path, home) in (None, dataset))


def _note_repeat(batch: Batch, name: str, repeat: Repeat) -> Batch:
    """The record, with the name under which the same images and labels arrived again."""
    if batch.withdrawn or batch.digest != repeat.digest or name == batch.name:
        return batch
    return batch.model_copy(update={"repeats": tuple(dict.fromkeys((*batch.repeats, name)))})


def _set_aside(path: Path, refusal: Refusal, dataset: str, store: Store) -> None:
    report = {"reason": refusal.reason, "dataset": dataset, "at": datetime.now(UTC).isoformat(), **refusal.details}
    files = {"examples.png": refusal.picture} if refusal.picture else {}
    set_aside(path, refusal.place, report, store, files)
