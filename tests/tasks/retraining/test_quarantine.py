"""Why a batch is in quarantine stays known."""

import shutil
from pathlib import Path

import pytest

from artifacts.errors import UsageError
from artifacts.storage.store import Store
from tasks.retraining.incoming.notes import Decision, read_note
from tasks.retraining.quarantine import batches_aside, release_batch, set_aside


def test_reasons_are_listed(store: Store, tmp_path: Path) -> None:
    """Each batch in quarantine is listed with its reason; a damaged report still is."""
    for name in ("a.npz", "b.npz"):
        (tmp_path / name).write_bytes(b"bad")
        set_aside(tmp_path / name, "quarantine", {"reason": f"{name} is bad", "errors": []}, store)
    (store.home / "quarantine" / "b.npz" / "report.json").write_bytes(b"{")
    reasons = {batch.name: batch.reason for batch in batches_aside(store)}
    assert reasons == {"a.npz": "a.npz is bad", "b.npz": "no reason kept"}
    assert not list(tmp_path.glob("*.npz")) and (store.home / "quarantine" / "b.npz" / "b.npz").exists()


def test_a_kill_shows_no_ghost(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed before the batch moved aside, or after it moved back, a batch is in the inbox only, with its note."""
    (tmp_path / "a.npz").write_bytes(b"bad")
    killed = KeyboardInterrupt()

    def kill(*_: object) -> None:
        raise killed

    with monkeypatch.context() as patch:
        patch.setattr("tasks.retraining.quarantine.move_batch", kill)
        with pytest.raises(KeyboardInterrupt):
            set_aside(tmp_path / "a.npz", "approval", {"reason": "doubts"}, store)
    assert not list(batches_aside(store))
    set_aside(tmp_path / "a.npz", "approval", {"reason": "doubts"}, store)
    remove = shutil.rmtree
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", lambda path, *_, **__: (kill if "approval" in str(path) else remove)(path))
        with pytest.raises(KeyboardInterrupt):
            release_batch(next(batches_aside(store)), Decision(reason="fine"), store)
    assert not list(batches_aside(store)) and (store.home / "inbox" / "a.npz").exists()
    assert read_note("a.npz", store.home).released


def test_form_is_no_matter_of_opinion(store: Store, tmp_path: Path) -> None:
    """A batch in quarantine because of its form is not released, and stays; of one that left meanwhile that is said."""
    (tmp_path / "a.npz").write_bytes(b"bad")
    set_aside(tmp_path / "a.npz", "quarantine", {"reason": "is torn", "errors": [{"message": "is torn"}]}, store)
    with pytest.raises(UsageError, match="cannot be learned from, whoever asks: is torn"):
        release_batch(next(batches_aside(store)), Decision(reason="please"), store)
    assert len(list(batches_aside(store))) == 1
    (tmp_path / "b.npz").write_bytes(b"doubted")
    set_aside(tmp_path / "b.npz", "approval", {"reason": "doubts"}, store)
    aside, _ = batches_aside(store)
    release_batch(aside, Decision(reason="first"), store)
    with pytest.raises(UsageError, match=r"b\.npz is no longer in .*approval"):
        release_batch(aside, Decision(reason="second"), store)
