"""A batch is learned from once or not at all, and is never lost."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from artifacts.storage.home import KEPT_BATCHES
from artifacts.storage.store import Store
from tasks.data.datasets import Splits
from tasks.registry.registry import Registry
from tasks.retraining.collect import Arrivals, collect
from tasks.retraining.incoming import feedback
from tasks.retraining.incoming.inbox import add_batch
from tasks.retraining.incoming.notes import Decision, Note, write_note
from tasks.retraining.ledger import accepted_batches, withdraw_batch
from tasks.retraining.states import find_batch, list_batches
from tests.command import ROOT
from tests.pictures import seven
from tests.tasks.retraining.conftest import LIMIT, Batch, judge, npz
from tests.tasks.retraining.incoming.test_batch_formats import pictures


def test_all_ways_in(store: Store, base: Splits, tmp_path: Path, new_digits: Batch) -> None:
    """The step takes what is in the inbox, what is new below the URL, and what people corrected."""
    images, labels = new_digits
    add_batch(npz(tmp_path / "added.npz", images[:100], labels[:100]), store.home)
    npz(tmp_path / "remote" / "fetched.npz", images[100:200], labels[100:200])
    feedback.keep(images[200], int(labels[200]), "digits", store.home)
    url = f"file://{tmp_path}/remote"
    arrivals = collect.fn("digits", base, 10, champion=None, on_drift="accept", store=store, inbox=url, max_bytes=LIMIT)
    assert sorted(batch.data.labels.shape[0] for batch in arrivals.new) == [1, 100, 100]


def test_once(store: Store, base: Splits, tmp_path: Path, new_digits: Batch) -> None:
    """An accepted batch leaves the inbox and stays accepted; the same images again change nothing."""
    path = npz(tmp_path / "good.npz", *new_digits)
    add_batch(path, store.home)
    first = judge(store, base)
    add_batch(path, store.home)
    second = judge(store, base)
    assert [len(first.new), len(second.new), len(second.accepted), len(second.repeated)] == [1, 0, 1, 1]
    assert list((store.home / "inbox").iterdir()) == [] and len(list(accepted_batches(store))) == 1


def test_again_under_another_name(store: Store, base: Splits, tmp_path: Path, new_digits: Batch) -> None:
    """A batch whose images and labels are known is told with the batch that has them, and found by either name."""
    first = add_batch(npz(tmp_path / "first.npz", *new_digits), store.home)
    judge(store, base)
    again = add_batch(npz(tmp_path / "again.npz", *new_digits), store.home)
    judge(store, base)
    (state,) = list_batches(store, Registry(store.home))
    assert (state.batch, state.repeats) == (first.name, (again.name,)) and again.name in state.words
    assert find_batch(again.name, [state]) == state


@pytest.mark.parametrize("is_kept", [True, False])
def test_withdrawn_and_pruned(store: Store, base: Splits, tmp_path: Path, new_digits: Batch, *, is_kept: bool) -> None:
    """After a batch was withdrawn and the store has lost its arrays, another is judged. If its files are kept, the same
    images in another order are known."""
    images, labels = new_digits
    first = add_batch(npz(tmp_path / "first.npz", images[:100], labels[:100]), store.home)
    (accepted,) = judge(store, base).accepted
    withdraw_batch("digits", first.name, Decision(reason="wrong"), store)
    for ref in (accepted.data.images, accepted.data.labels):
        store.path(ref).unlink()
    if not is_kept:
        (store.home / KEPT_BATCHES / first.name).unlink()
    add_batch(npz(tmp_path / "again.npz", images[99::-1], labels[99::-1]), store.home)
    add_batch(npz(tmp_path / "other.npz", images[100:200], labels[100:200]), store.home)
    arrivals = judge(store, base)
    assert any(name.endswith("again.npz") for name in arrivals.quarantined) == is_kept
    assert any(batch.name.endswith("other.npz") for batch in arrivals.new)


def test_bad_batches_go_to_quarantine(
    store: Store, base: Splits, tmp_path: Path, *, new_digits: Batch, digits: tuple[np.ndarray, ...]
) -> None:
    """Nothing but test images, unknown labels, and what cannot be read or fitted go to quarantine; nothing is lost."""
    images, labels = new_digits
    bad = {
        "leak": (digits[2][:9], digits[3][:9]),
        "label": (images, np.full_like(labels, 11)),
        "blank": (np.zeros((9, 9, 9), np.uint8) + np.arange(9, dtype=np.uint8), labels[:9]),
        "type": (images.astype(np.float32) - 99, labels),
    }
    for name, arrays in bad.items():
        add_batch(npz(tmp_path / f"{name}.npz", *arrays), store.home)
    (tmp_path / "torn.npz").write_bytes(b"PK")
    add_batch(tmp_path / "torn.npz", store.home)
    arrivals = judge(store, base)
    assert arrivals.accepted == () and len(arrivals.quarantined) == 5
    for name in arrivals.quarantined:
        assert {path.name for path in (store.home / "quarantine" / name).iterdir()} == {name, "report.json"}


def test_scans_are_learned_from(store: Store, base: Splits, tmp_path: Path) -> None:
    """A batch of scans is fitted to the data set; its arrays are kept, and restored if the store loses them."""
    scans = np.stack([255 - np.pad(seven(200), ((40, 40), (60 + i, 60 - i))) for i in range(5)])
    add_batch(pictures(tmp_path / "scans", scans, np.full(5, 7)), store.home)
    (batch,) = judge(store, base).accepted
    assert batch.data.images.shape[1:] == (8, 8)
    before = np.array(store.get(batch.data.images))
    for ref in (batch.data.images, batch.data.labels):
        store.path(ref).unlink()
    assert judge(store, base).accepted == (batch,)
    np.testing.assert_array_equal(store.get(batch.data.images), before)


def test_killed_before_the_batch_left(
    store: Store, base: Splits, tmp_path: Path, *, new_digits: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between the ledger and the move, the batch is accepted once."""
    add_batch(npz(tmp_path / "good.npz", *new_digits), store.home)
    with monkeypatch.context() as patch:
        patch.setattr("tasks.retraining.collect.move_batch", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            judge(store, base)
    assert len(judge(store, base).accepted) == 1 and list((store.home / "inbox").iterdir()) == []


@pytest.mark.parametrize("by_note", [False, True])
def test_meant_for_another(by_note: bool, store: Store, base: Splits, new_digits: Batch) -> None:
    """A batch whose file or note names another data set stays in the inbox, for that one's retraining."""
    npz(store.home / "inbox" / "batch.npz", *new_digits, **({} if by_note else {"dataset": "letters"}))
    if by_note:
        write_note("batch.npz", Note(dataset="letters"), store.home)
    assert judge(store, base) == Arrivals(accepted=(), new=(), quarantined={}, repeated=())
    assert len(judge(store, base, dataset="letters").new) == 1


@pytest.mark.parametrize("harm", ["empty", "array", "flipped", "huge picture"])
def test_damaged_files(harm: str, store: Store, base: Splits, new_digits: Batch) -> None:
    """Whatever is wrong with a file, it goes to quarantine, and does not stop the others."""
    inbox = store.home / "inbox"
    inbox.mkdir(parents=True)
    bad = inbox / "bad.npz"
    if harm == "empty":
        bad.touch()
    elif harm == "array":
        np.save(bad.open("wb"), new_digits[0])
    elif harm == "flipped":
        np.savez_compressed(bad, images=new_digits[0], labels=new_digits[1])
        content = bytearray(bad.read_bytes())
        for place in range(100, len(content) - 400, 50):
            content[place] ^= 0xFF
        bad.write_bytes(content)
    else:
        bad = inbox / "bad"
        bad.mkdir()
        (bad / "labels.csv").write_text("file,label\na.png,1\n")
        Image.new("1", (14_000, 14_000)).save(bad / "a.png")
    npz(inbox / "good.npz", *new_digits)
    arrivals = judge(store, base)
    assert list(arrivals.quarantined) == [bad.name] and [batch.name for batch in arrivals.new] == ["good.npz"]


def test_an_empty_inbox_loads_no_network(tmp_path: Path) -> None:
    """Judging an empty inbox imports neither Keras nor TensorFlow, although there is a champion."""
    script = """
import sys
from pathlib import Path
import numpy as np
from artifacts.storage.store import Store
from tasks.data.datasets import Splits
from tasks.registry.versions import Version
from tasks.retraining.collect import collect
from tests.tasks.registry.conftest import candidate
store = Store(Path(sys.argv[1]))
images, labels = np.zeros((3, 8, 8), np.uint8), np.zeros(3, np.uint8)
base = Splits.of(*map(store.put, (images, labels, images, labels)))
weights = store.put_bytes(b"never read", "weights.h5")
place = {"version": 1, "aliases": ("champion",), "created": 0, "mlflow_run": ""}
champion = Version.model_validate(candidate(weights).model_dump() | place)
options = {"champion": champion, "on_drift": "accept", "store": store, "inbox": "", "max_bytes": 10**7}
arrivals = collect.fn("digits", base, 10, **options)
assert not arrivals.accepted and not {"keras", "tensorflow"} & {*sys.modules}
"""
    run = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "home")], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
