"""The ledger knows every accepted batch, and their arrays survive."""

from pathlib import Path

import pytest

from artifacts.errors import DigitflowError
from artifacts.storage.store import Store
from tasks.data.datasets import Splits
from tasks.retraining.inbox import add_batch
from tasks.retraining.ledger import accepted_batches
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
