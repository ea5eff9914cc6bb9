"""The ledger knows every accepted batch, and their arrays survive."""

import json
from pathlib import Path

import pytest

from artifacts.errors import DigitflowError, UsageError
from artifacts.storage.store import Store
from tasks.data.datasets import Splits
from tasks.retraining.incoming.inbox import add_batch
from tasks.retraining.incoming.notes import Decision
from tasks.retraining.ledger import accepted_batches, read_ledger, withdraw_batch
from tests.tasks.retraining.conftest import Batch, judge, npz


def test_lost_arrays_are_restored(store: Store, base: Splits, tmp_path: Path, new_digits: Batch) -> None:
    """The arrays of an accepted batch, if lost, are read again from the files that arrived."""
    add_batch(npz(tmp_path / "good.npz", *new_digits), store.home)
    batch = judge(store, base).new[0]
    store.path(batch.data.images).unlink()
    assert judge(store, base).accepted == (batch,) and store.holds(batch.data.images)


def test_other_files_are_not_taken(store: Store, base: Splits, tmp_path: Path, new_digits: Batch) -> None:
    """Where the arrays of an accepted batch are gone and its files are others, one line says so."""
    add_batch(npz(tmp_path / "good.npz", *new_digits), store.home)
    (batch,) = judge(store, base).accepted
    store.path(batch.data.labels).unlink()
    npz(store.home / "batches" / "kept" / batch.name, new_digits[0], new_digits[1][::-1])
    with pytest.raises(DigitflowError, match="not what was accepted"):
        judge(store, base)


def test_damaged_ledger_is_an_error(store: Store, base: Splits) -> None:
    """A ledger that cannot be read is an error for every reader: nobody knows what the models learned from."""
    store.write("batches/digits.json", b"[{")
    for use in (lambda: judge(store, base), lambda: list(accepted_batches(store))):
        with pytest.raises(DigitflowError, match=r"ledger of batches .* is damaged"):
            use()


def test_only_what_is_learned_from_is_withdrawn(store: Store, base: Splits, tmp_path: Path, new_digits: Batch) -> None:
    """A withdrawal changes the one record of that name; a second one, and one of another name, change nothing."""
    names = [add_batch(npz(tmp_path / f"{i}.npz", *(a[i::2] for a in new_digits)), store.home).name for i in range(2)]
    before = judge(store, base).accepted
    withdrawn = withdraw_batch("digits", names[0], Decision(reason="blurred"), store)
    assert read_ledger("digits", store) == [withdrawn, before[1]] and withdrawn.withdrawn
    assert before[0] == withdrawn.model_copy(update={"withdrawn": None})
    for name in (names[0], "unknown.npz"):
        with pytest.raises(UsageError, match="learns from no batch"):
            withdraw_batch("digits", name, Decision(reason="again"), store)
    assert list(accepted_batches(store)) == [before[1]]


def test_earlier_records_are_read(store: Store, base: Splits, tmp_path: Path, new_digits: Batch) -> None:
    """A ledger from before batches were judged by the champion and withdrawn is read, and its batches are used."""
    add_batch(npz(tmp_path / "good.npz", *new_digits), store.home)
    judge(store, base)
    path = store.home / "batches" / "digits.json"
    later = {"labels", "unjudged", "note", "withdrawn"}
    records = json.loads(path.read_text())
    earlier = [{key: value for key, value in record.items() if key not in later} for record in records]
    path.write_text(json.dumps(earlier))
    (batch,) = accepted_batches(store)
    assert (batch.labels, batch.unjudged, batch.note.dataset) == (None, "", "digits")
    assert len(judge(store, base).accepted) == 1
