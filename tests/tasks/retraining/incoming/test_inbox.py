"""Batches arrive in the inbox whole, and once."""

import errno
import os
from pathlib import Path

import pytest

from artifacts.errors import DigitflowError, UsageError
from artifacts.storage.store import Store
from tasks.data.datasets import Splits
from tasks.retraining.incoming.inbox import add_batch, fetch_batches, waiting_batches
from tasks.retraining.incoming.notes import read_note, write_note
from tests.conftest import serve
from tests.tasks.data.reader.conftest import class_folders
from tests.tasks.retraining.conftest import Batch, judge, npz
from tests.tasks.retraining.incoming.test_batch_formats import pictures


def test_only_batches_are_added(store: Store, tmp_path: Path) -> None:
    """Only a folder or a .npz file can be added."""
    (tmp_path / "x.txt").write_text("x")
    with pytest.raises(UsageError, match="no batch"):
        add_batch(tmp_path / "x.txt", store.home)


def test_url(store: Store, base: Splits, tmp_path: Path, new_digits: Batch) -> None:
    """Batches below a URL are fetched once."""
    npz(tmp_path / "remote" / "good.npz", *new_digits)
    for expected in (1, 0):
        fetch_batches(f"file://{tmp_path}/remote", store.home)
        assert len(judge(store, base).new) == expected
    with pytest.raises(DigitflowError, match="DIGITFLOW_INBOX"):
        fetch_batches(f"file://{tmp_path}/nowhere", store.home)


def test_a_corrected_batch_is_fetched_again(store: Store, tmp_path: Path, new_digits: Batch) -> None:
    """A batch whose files have changed below the URL is fetched once more, beside the one that arrived before."""
    images, labels = new_digits
    remote = tmp_path / "remote"
    npz(remote / "forms.npz", images, labels)
    pictures(remote / "scans", images[:9], labels[:9])
    for kept in (2, 2):
        fetch_batches(f"file://{remote}", store.home)
        assert len(waiting_batches(store.home)) == kept
    npz(remote / "forms.npz", images[:50], labels[:50])
    (remote / "scans" / "labels.csv").write_text((remote / "scans" / "labels.csv").read_text() + "\n")
    for _ in range(2):
        fetch_batches(f"file://{remote}", store.home)
        names = [path.name.partition("-")[0].partition(".")[0] for path in waiting_batches(store.home)]
        assert sorted(names) == ["forms", "forms", "scans", "scans"]


def test_what_is_the_same_is_fetched_once(store: Store, tmp_path: Path, new_digits: Batch) -> None:
    """A batch that was touched, moved with its folder, or fetched by an older version does not arrive again. A change
    of a system's file is none."""
    images, labels = new_digits
    npz(tmp_path / "remote" / "forms.npz", images, labels)
    pictures(tmp_path / "remote" / "scans", images[:9], labels[:9])
    fetch_batches(f"file://{tmp_path}/remote", store.home)
    (tmp_path / "remote").rename(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "scans" / "Thumbs.db").write_bytes(b"x")
    os.utime(tmp_path / "elsewhere" / "forms.npz", (0, 0))
    write_note("forms.npz", read_note("forms.npz", store.home).model_copy(update={"stamp": ""}), store.home)
    fetch_batches(f"file://{tmp_path}/elsewhere", store.home)
    assert [path.name for path in waiting_batches(store.home)] == ["forms.npz", "scans"]


def test_a_corrected_batch_is_fetched_over_http(store: Store, tmp_path: Path, new_digits: Batch) -> None:
    """Over HTTP, where a list of files tells no sizes, and with a long name, a replaced batch is seen too."""
    images, labels = new_digits
    name = f"{'x' * 240}.npz"
    npz(tmp_path / "remote" / name, images, labels)
    for url in serve(tmp_path / "remote"):
        fetch_batches(url, store.home)
        npz(tmp_path / "remote" / name, images[:50], labels[:50])
        fetch_batches(url, store.home)
        fetch_batches(url, store.home)
    assert len(waiting_batches(store.home)) == 2


def test_one_batch_keeps_no_other_back(store: Store, tmp_path: Path, new_digits: Batch) -> None:
    """Where one batch cannot be read, the others arrive, and an error says which, unless it has arrived before."""
    remote = tmp_path / "remote"
    pictures(remote / "a", new_digits[0][:9], new_digits[1][:9])
    fetch_batches(f"file://{remote}", store.home)
    (remote / "a" / "y.png").symlink_to("nowhere")
    npz(remote / "b.npz", *new_digits)
    fetch_batches(f"file://{remote}", store.home)
    assert [path.name for path in waiting_batches(store.home)] == ["a", "b.npz"]
    (remote / "c.npz").symlink_to("nowhere")
    npz(remote / "d.npz", new_digits[0][:50], new_digits[1][:50])
    with pytest.raises(DigitflowError, match=r"c\.npz"):
        fetch_batches(f"file://{remote}", store.home)
    assert [path.name for path in waiting_batches(store.home)] == ["a", "b.npz", "d.npz"]


def test_interrupted_fetch(
    store: Store, base: Splits, tmp_path: Path, *, new_digits: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch that a killed fetch left half copied is fetched again, whole."""
    pictures(tmp_path / "remote" / "good", *new_digits)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            fetch_batches(f"file://{tmp_path}/remote", store.home)
    (store.home / "inbox/.fetched/good/labels.csv").write_text("torn")
    fetch_batches(f"file://{tmp_path}/remote", store.home)
    assert len(judge(store, base).new) == 1


def test_an_interrupted_copy_leaves_nothing(
    new_digits: Batch, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch that could not be copied whole leaves nothing in the inbox, hidden or not."""
    mine, copied = class_folders(tmp_path / "mine", *new_digits), list[str]()

    def failing(source: Path, target: Path) -> None:
        copied.append(str(source))
        Path(target).write_bytes(b"part")
        if len(copied) == 3:
            raise OSError(errno.ENOSPC, "No space left on device", str(target))

    monkeypatch.setattr("shutil.copy2", failing)
    with pytest.raises(DigitflowError, match="free some space"):
        add_batch(mine, store.home)
    assert not list((store.home / "inbox").iterdir())
