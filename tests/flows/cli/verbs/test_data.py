"""`digitflow data` checks data and mends them, adds batches, and lists every batch with its state."""

import json
from collections.abc import Callable
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
from tests.conftest import Arrays, write_idx
from tests.flows.cli.conftest import Called


def test_states(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Waiting batches, corrections, accepted batches and those in quarantine are listed, in this order."""
    monkeypatch.setattr("flows.cli.verbs.data.is_server_configured", lambda: False)
    images, labels = np.eye(8, dtype=np.uint8) * np.array([[[200]], [[100]]], np.uint8), np.zeros(2, np.uint8)
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
    assert added == {"batch": rows[0]["batch"], "told": False, "remarks": []} and added["batch"].endswith("-new.npz")
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


Call = Callable[..., Called]


def leaky(folder: Path, digits: Arrays) -> Path:
    """A data set with six copies across its splits, and labels from 1."""
    train_x, train_y, test_x, test_y = digits
    images, labels = np.concatenate([train_x, test_x[:6]]), np.concatenate([train_y, test_y[:6]])
    return write_idx(folder, (images, labels + 1, test_x, test_y + 1))


def test_check_says_what_there_is(call: Call, digits_folder: Path, home: Path) -> None:
    """Sound data have their sizes, classes and samples in a table, and exit status 0; nothing else is left behind."""
    done = call("data", "check", digits_folder)
    assert (done.status, done.stderr) == (0, "")
    rows = [line.split(maxsplit=1) for line in done.stdout.splitlines()]
    assert rows[0] == ["data", f"digits: IDX files in {digits_folder}"]
    assert rows[1] == ["images", "1,500 to train on, 297 to test, 8×8 pixels"]
    assert rows[-1] == ["verdict", "sound"]
    assert Path(dict(rows[3:])["samples"]).read_bytes().startswith(b"\x89PNG")  # type: ignore[arg-type]
    assert {path.name for path in home.iterdir()} == {"checks", "tmp"} and not list((home / "tmp").iterdir())


def test_check_lists_every_problem(call: Call, tmp_path: Path, digits: Arrays) -> None:
    """Problems are listed with the command that mends them, in JSON too; exit status 2 says that there are errors."""
    folder = leaky(tmp_path / "mine", digits)
    done = call("data", "check", folder)
    assert (
        done.status == 2 and "labels begin at 1" in done.stdout and "the test split has the same image" in done.stdout
    )
    assert f"digitflow data check {folder} --fix OUT writes a copy" in done.stdout
    found = json.loads(call("data", "check", folder, "--json").stdout)
    assert found["sound"] is False and found["fixed"] is None
    assert {p["check"] for p in found["problems"] if p["severity"] == "error"} == {"leak"}


def test_fix_writes_a_sound_copy(call: Call, tmp_path: Path, digits: Arrays) -> None:
    """The copy is sound, what was done is listed, and a second one does not overwrite it."""
    folder, out = leaky(tmp_path / "mine", digits), tmp_path / "fixed"
    done = call("data", "check", folder, "--fix", out)
    assert done.status == 0 and "6 training images left out" in done.stdout and f"written  {out}" in done.stdout
    found = json.loads(call("data", "check", out, "--json").stdout)
    assert found["sound"] and [c["name"] for c in found["classes"]] == [str(i) for i in range(1, 11)]
    again = call("data", "check", folder, "--fix", out)
    assert again.status == 2 and "nothing is overwritten" in again.stderr


def test_unusable_checks(call: Call, tmp_path: Path, digits_folder: Path) -> None:
    """What is not there, what is no data set, and a turn without a copy are refused in one line."""
    for arguments, words in (
        ([tmp_path / "nowhere"], "there is no"),
        ([tmp_path], "holds no data set"),
        ([digits_folder, "--transpose"], "--transpose is about the copy that --fix writes; give both"),
        ([digits_folder, "--drop-copies"], "give both"),
    ):
        done = call("data", "check", *arguments)
        assert done.status == 2 and words in done.stderr and done.stderr.count("\n") == 1 and not done.stdout


def test_bad_batches_are_not_added(call: Call, tmp_path: Path, home: Path) -> None:
    """A batch that could not be learned from is refused with exit status 2 and its reason, and is not in the inbox."""
    np.savez(tmp_path / "bad.npz", images=np.eye(8)[np.newaxis], labels=np.array([0.5]))
    done = call("data", "add", tmp_path / "bad.npz")
    assert done.status == 2 and "bad.npz: labels holds 0.5 at position 0" in done.stderr
    assert not (home / "inbox").exists()
