"""A correction is never lost, and many are one batch, which is judged like all data."""

from pathlib import Path

import numpy as np
import pytest

from artifacts.storage.store import Store
from tasks.data.datasets import Splits
from tasks.retraining import feedback as corrections
from tasks.retraining.batch_formats import read
from tasks.retraining.feedback import hand_in, is_due, keep, waiting
from tasks.retraining.inbox import collect
from tests.conftest import Arrays


def test_many_are_one_batch(home: Path, store: Store, digits: Arrays) -> None:
    """Corrections wait until they are handed in, as one batch, in which the last word about an image counts."""
    assert hand_in(home) == []
    for image, label in zip(digits[0][:20], digits[1][:20], strict=True):
        keep(image, 9 - int(label), "digits", home)
        number = keep(image, int(label), "digits", home)
    assert number == 40 and not (home / "inbox").exists()
    (placed,) = hand_in(home)
    images, labels = read(placed, store, 10**6)
    np.testing.assert_array_equal(images, digits[0][:20])
    np.testing.assert_array_equal(labels, digits[1][:20])
    assert waiting(home) == {} and hand_in(home) == []


def test_sets_and_sizes_are_apart(home: Path, store: Store, digits: Arrays) -> None:
    """Corrections of different data sets or sizes are batches of their own."""
    keep(digits[0][0], 1, "digits", home)
    keep(digits[0][0], 1, "a/b", home)
    keep(digits[0][0][:6], 1, "digits", home)
    assert sorted(read(path, store, 10**6)[0].shape for path in hand_in(home)) == [(1, 6, 8), (1, 8, 8), (1, 8, 8)]


def test_when_due(home: Path, digits: Arrays, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch is due when there are FULL corrections, or when the first has waited for OLD seconds."""
    assert not is_due(home)
    for _ in range(3):
        assert not is_due(home)
        keep(digits[0][0], 1, "digits", home)
    monkeypatch.setattr(corrections, "FULL", 3)
    assert is_due(home)
    monkeypatch.setattr(corrections, "FULL", 4)
    assert not is_due(home)
    monkeypatch.setattr(corrections, "OLD", -1)
    assert is_due(home)


def test_torn_line(home: Path, store: Store, digits: Arrays) -> None:
    """A line that a crash tore takes no other correction with it."""
    keep(digits[0][0], 1, "digits", home)
    (path,) = (home / "corrections").glob("*.jsonl")
    with path.open("ab") as file:
        file.write(path.read_bytes()[:50])
    keep(digits[0][1], 2, "digits", home)
    (placed,) = hand_in(home)
    assert read(placed, store, 10**6)[1].tolist() == [1, 2]


def test_killed_while_handing_in(home: Path, store: Store, digits: Arrays, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed after the batch is in the inbox, before the corrections are gone, it comes twice and is accepted once."""
    base = Splits.of(*map(store.put, (digits[0][:1000], digits[1][:1000], digits[2], digits[3])))
    for image, label in zip(digits[0][1000:1030], digits[1][1000:1030], strict=True):
        keep(image, int(label), "digits", home)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            hand_in(home)
    keep(digits[0][1030], 3, "digits", home)
    assert len(hand_in(home)) == 2
    arrivals = collect("digits", base, 10, "accept", store, 10**6)
    assert [len(arrivals.new), len(arrivals.repeated), arrivals.quarantined] == [2, 1, {}]
