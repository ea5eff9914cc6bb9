"""Why a batch is in quarantine stays known."""

from pathlib import Path

from artifacts.storage.store import Store
from tasks.retraining.quarantine import batches_aside, set_aside


def test_reasons_are_listed(store: Store, tmp_path: Path) -> None:
    """Each batch in quarantine is listed with its reason; a damaged report still is."""
    for name in ("a.npz", "b.npz"):
        (tmp_path / name).write_bytes(b"bad")
        set_aside(tmp_path / name, "quarantine", {"reason": f"{name} is bad", "errors": []}, store)
    (store.home / "quarantine" / "b.npz" / "report.json").write_bytes(b"{")
    reasons = {batch.name: batch.reason for batch in batches_aside(store)}
    assert reasons == {"a.npz": "a.npz is bad", "b.npz": "no reason kept"}
    assert not list(tmp_path.glob("*.npz")) and (store.home / "quarantine" / "b.npz" / "b.npz").exists()
