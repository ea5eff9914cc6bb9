"""`digitflow data` adds batches, and lists every batch with its state."""

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from artifacts.storage.store import Store
from flows.cli.verbs.data import add, show
from tasks.data.datasets import Split
from tasks.retraining import feedback
from tasks.retraining.ledger import Batch, write_ledger
from tasks.retraining.quarantine import quarantine_batch


def test_states(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Waiting batches, corrections, accepted batches and those in quarantine are listed, in this order."""
    monkeypatch.setattr("flows.cli.verbs.data.is_server_configured", lambda: False)
    images, labels = np.zeros((2, 8, 8), np.uint8), np.zeros(2, np.uint8)
    np.savez(tmp_path / "new.npz", images=images, labels=labels)
    assert add(tmp_path / "new.npz", json=True) == 0
    added = json.loads(capsys.readouterr().out)
    feedback.keep(images[0], 1, "digits", store.home)
    split = Split(images=store.put(images), labels=store.put(labels))
    write_ledger("digits", [Batch(name="good.npz", digest="0", data=split, added=datetime.now(UTC), drift=())], store)
    (tmp_path / "bad.npz").touch()
    quarantine_batch(tmp_path / "bad.npz", "it is empty", {}, store)
    assert show(json=True) == 0
    rows = json.loads(capsys.readouterr().out)
    assert added == {"batch": rows[0]["batch"], "told": False} and added["batch"].endswith("-new.npz")
    assert [tuple(row.values()) for row in rows] == [
        (added["batch"], "waiting", ""),
        ("digits-8x8", "collecting", "1 corrections"),
        ("good.npz", "accepted", "2 images"),
        ("bad.npz", "quarantine", f"it is empty; see {store.home / 'quarantine' / 'bad.npz' / 'report.json'}"),
    ]


def test_nothing_yet(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a batch the list is empty, and listing creates no folder."""
    assert show(json=True) == 0
    assert json.loads(capsys.readouterr().out) == [] and not home.exists()
