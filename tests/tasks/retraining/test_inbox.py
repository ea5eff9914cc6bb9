"""A batch is learned from once or not at all, and is never lost."""

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from artifacts.errors import BadSource, DigitflowError, UsageError
from artifacts.storage.eviction import prune
from artifacts.storage.store import Store
from tasks.data import idx
from tasks.data.datasets import Splits
from tasks.retraining.batch_formats import read
from tasks.retraining.drift import compare
from tasks.retraining.inbox import Arrivals, OnDrift, accepted, add, collect, fetch
from tests.conftest import Arrays

LIMIT = 10**7


@pytest.fixture
def base(store: Store, digits: Arrays) -> Splits:
    train_x, train_y, test_x, test_y = digits
    return Splits.of(*map(store.put, (train_x[:1000], train_y[:1000], test_x, test_y)))


@pytest.fixture
def fresh(digits: Arrays) -> tuple[np.ndarray, np.ndarray]:
    """300 digits that are not in the base data."""
    return digits[0][1000:1300], digits[1][1000:1300]


def packed(path: Path, images: np.ndarray, labels: np.ndarray) -> Path:
    np.savez(path, images=images, labels=labels)
    return path


def take_in(store: Store, base: Splits, on_drift: OnDrift = "accept") -> Arrivals:
    return collect("digits", base, 10, on_drift, store, LIMIT)


def in_pictures(folder: Path, images: np.ndarray, labels: np.ndarray) -> Path:
    folder.mkdir()
    with (folder / "labels.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("file", "label"))
        for i, (image, label) in enumerate(zip(images, labels, strict=True)):
            Image.fromarray(image).save(folder / f"{i}.png")
            rows.writerow((f"{i}.png", label))
    return folder


def in_idx(folder: Path, images: np.ndarray, labels: np.ndarray) -> Path:
    folder.mkdir()
    (folder / "new-images-idx3-ubyte").write_bytes(idx.encode(images))
    (folder / "new-labels-idx1-ubyte").write_bytes(idx.encode(labels))
    return folder


@pytest.mark.parametrize("write", [lambda p, *a: packed(p.with_suffix(".npz"), *a), in_pictures, in_idx])
def test_every_format(write: object, store: Store, tmp_path: Path, fresh: tuple[np.ndarray, np.ndarray]) -> None:
    """The same images and labels come out of each format."""
    path = write(tmp_path / "batch", fresh[0][:20], fresh[1][:20])  # type: ignore[operator]
    images, labels = read(path, store, LIMIT)
    np.testing.assert_array_equal(images, fresh[0][:20])
    np.testing.assert_array_equal(labels, fresh[1][:20])


def test_once(store: Store, base: Splits, tmp_path: Path, fresh: tuple[np.ndarray, np.ndarray]) -> None:
    """An accepted batch leaves the inbox and stays accepted; the same images again change nothing."""
    path = packed(tmp_path / "good.npz", *fresh)
    add(path, store.home)
    first = take_in(store, base)
    add(path, store.home)
    second = take_in(store, base)
    assert [len(first.new), len(second.new), len(second.accepted), len(second.repeated)] == [1, 0, 1, 1]
    assert list((store.home / "inbox").iterdir()) == [] and len(list(accepted(store))) == 1


def test_bad_batches_are_put_aside(
    store: Store, base: Splits, tmp_path: Path, digits: Arrays, fresh: tuple[np.ndarray, np.ndarray]
) -> None:
    """Test images, unknown labels, other sizes and unreadable files go to quarantine with a report; nothing is lost."""
    bad = {
        "leak": (digits[2][:9], digits[3][:9]),
        "label": (fresh[0], np.full_like(fresh[1], 11)),
        "size": (np.zeros((9, 9, 9), np.uint8) + np.arange(9, dtype=np.uint8), fresh[1][:9]),
        "type": (fresh[0].astype(np.float32), fresh[1]),
    }
    for name, arrays in bad.items():
        add(packed(tmp_path / f"{name}.npz", *arrays), store.home)
    (tmp_path / "torn.npz").write_bytes(b"PK")
    add(tmp_path / "torn.npz", store.home)
    arrivals = take_in(store, base)
    assert arrivals.accepted == () and len(arrivals.quarantined) == 5
    for name in arrivals.quarantined:
        assert {path.name for path in (store.home / "quarantine" / name).iterdir()} == {name, "report.json"}


def test_killed_before_the_batch_left(
    store: Store, base: Splits, tmp_path: Path, fresh: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between the ledger and the move, the batch is accepted once."""
    add(packed(tmp_path / "good.npz", *fresh), store.home)
    with monkeypatch.context() as patch:
        patch.setattr("tasks.retraining.inbox._move", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            take_in(store, base)
    assert len(take_in(store, base).accepted) == 1 and list((store.home / "inbox").iterdir()) == []


def test_lost_arrays_are_read_anew(
    store: Store, base: Splits, tmp_path: Path, fresh: tuple[np.ndarray, np.ndarray]
) -> None:
    """An accepted batch survives eviction, and its arrays, if lost, are read from what arrived."""
    add(packed(tmp_path / "good.npz", *fresh), store.home)
    batch = take_in(store, base).new[0]
    prune(store, max_bytes=0)
    assert store.holds(batch.data.images)
    store.path(batch.data.images).unlink()
    again = Splits.of(base.train.images, base.train.labels, base.test.images, base.test.labels)
    assert take_in(store, again).accepted == (batch,) and store.holds(batch.data.images)


def test_damaged_ledger_is_an_error(store: Store, base: Splits) -> None:
    """A ledger that cannot be read stops everything, eviction too: nobody knows what was learned from."""
    store.write("batches/digits.json", b"[{")
    for use in (lambda: take_in(store, base), lambda: prune(store, max_bytes=0)):
        with pytest.raises(DigitflowError, match=r"ledger of batches .* is damaged"):
            use()


def test_drift(store: Store, base: Splits, tmp_path: Path, fresh: tuple[np.ndarray, np.ndarray]) -> None:
    """Images of the same kind do not drift; thinner ink, a slant or other labels do, and can be refused."""
    before = store.get(base.train.images), store.get(base.train.labels)
    assert not any(drift.is_drift for drift in compare(before, fresh))
    changed = {
        "mean": (fresh[0] // 3, fresh[1]),
        "slant": (fresh[0][:, ::-1, :], fresh[1]),
        "label": (fresh[0][fresh[1] < 3], fresh[1][fresh[1] < 3]),
    }
    for statistic, batch in changed.items():
        assert statistic in {d.statistic for d in compare(before, batch) if d.is_drift}
    add(packed(tmp_path / "thin.npz", *changed["mean"]), store.home)
    arrivals = take_in(store, base, "refuse")
    assert arrivals.accepted == () and "drifted" in next(iter(arrivals.quarantined.values()))


def test_url(store: Store, base: Splits, tmp_path: Path, fresh: tuple[np.ndarray, np.ndarray]) -> None:
    """Batches below a URL are fetched once."""
    (tmp_path / "remote").mkdir()
    packed(tmp_path / "remote" / "good.npz", *fresh)
    for expected in (1, 0):
        fetch(f"file://{tmp_path}/remote", store.home)
        assert len(take_in(store, base).new) == expected
    with pytest.raises(DigitflowError, match="DIGITFLOW_INBOX"):
        fetch(f"file://{tmp_path}/nowhere", store.home)


def test_fetch_that_was_cut_short(
    store: Store, base: Splits, tmp_path: Path, fresh: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a killed fetch left half copied is fetched anew, whole."""
    (tmp_path / "remote").mkdir()
    in_pictures(tmp_path / "remote" / "good", *fresh)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            fetch(f"file://{tmp_path}/remote", store.home)
    (store.home / "inbox/.fetched/good/labels.csv").write_text("torn")
    fetch(f"file://{tmp_path}/remote", store.home)
    assert len(take_in(store, base).new) == 1


def test_meant_for_another(store: Store, base: Splits, fresh: tuple[np.ndarray, np.ndarray]) -> None:
    """A batch that names another data set stays in the inbox, for that one's retraining."""
    (store.home / "inbox").mkdir(parents=True)
    np.savez(store.home / "inbox" / "batch.npz", images=fresh[0], labels=fresh[1], dataset="letters")
    assert take_in(store, base) == Arrivals(accepted=(), new=(), quarantined={}, repeated=())
    assert len(collect("letters", base, 10, "accept", store, LIMIT).new) == 1


@pytest.mark.parametrize("harm", ["empty", "array", "flipped", "huge picture"])
def test_damaged_files(
    harm: str, store: Store, base: Splits, tmp_path: Path, fresh: tuple[np.ndarray, np.ndarray]
) -> None:
    """Whatever is wrong with a file, it goes to quarantine, and does not stop the others."""
    inbox = store.home / "inbox"
    inbox.mkdir(parents=True)
    bad = inbox / "bad.npz"
    if harm == "empty":
        bad.touch()
    elif harm == "array":
        np.save(bad.open("wb"), fresh[0])
    elif harm == "flipped":
        np.savez_compressed(bad, images=fresh[0], labels=fresh[1])
        content = bytearray(bad.read_bytes())
        for place in range(100, len(content) - 400, 50):
            content[place] ^= 0xFF
        bad.write_bytes(content)
    else:
        bad = inbox / "bad"
        bad.mkdir()
        (bad / "labels.csv").write_text("file,label\na.png,1\n")
        Image.new("1", (14_000, 14_000)).save(bad / "a.png")
    packed(inbox / "good.npz", *fresh)
    arrivals = take_in(store, base)
    assert list(arrivals.quarantined) == [bad.name] and [batch.name for batch in arrivals.new] == ["good.npz"]


def test_damaged_keepsake(store: Store, base: Splits, tmp_path: Path, fresh: tuple[np.ndarray, np.ndarray]) -> None:
    """Where the arrays of an accepted batch are gone and what arrived is another, one line says so."""
    add(packed(tmp_path / "good.npz", *fresh), store.home)
    (batch,) = take_in(store, base).accepted
    store.path(batch.data.labels).unlink()
    packed(store.home / "batches" / "kept" / batch.name, fresh[0], fresh[1][::-1])
    with pytest.raises(DigitflowError, match="not what was accepted"):
        take_in(store, base)


@pytest.mark.parametrize("text", ["file,label\n../secret.png,1\n", "name,label\na.png,1\n", "file,label\na.png,x\n"])
def test_unusable_label_files(text: str, store: Store, tmp_path: Path) -> None:
    """A labels.csv that leaves its folder, lacks a column or has no numbers is refused."""
    (tmp_path / "batch").mkdir()
    (tmp_path / "batch" / "labels.csv").write_text(text)
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "batch" / "a.png")
    with pytest.raises(BadSource, match="batch"):
        read(tmp_path / "batch", store, LIMIT)


def test_what_is_no_batch_is_not_added(store: Store, tmp_path: Path) -> None:
    """Only a folder or a .npz file can be added."""
    (tmp_path / "x.txt").write_text("x")
    with pytest.raises(UsageError, match="no batch"):
        add(tmp_path / "x.txt", store.home)
