"""Why a batch is in quarantine stays known."""

from pathlib import Path

from artifacts.storage.store import Store
from tasks.retraining.quarantine import quarantine_batch, quarantined_batches


def test_reasons_are_listed(store: Store, tmp_path: Path) -> None:
    """Each batch in quarantine is listed with its reason; a damaged report still is."""
    for name in ("a.npz", "b.npz"):
        (tmp_path / name).write_bytes(b"bad")
        quarantine_batch(tmp_path / name, f"{name} is bad", {"errors": []}, store)
    (store.home / "quarantine" / "b.npz" / "report.json").write_bytes(b"{")
    reasons = {path.parent.name: reason for path, reason in quarantined_batches(store)}
    assert reasons == {"a.npz": "a.npz is bad", "b.npz": "no reason kept"}
    assert not list(tmp_path.glob("*.npz")) and (store.home / "quarantine" / "b.npz" / "b.npz").exists()
