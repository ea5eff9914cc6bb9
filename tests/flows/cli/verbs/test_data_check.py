"""`digitflow data check` says what data are, lists every problem, and mends them."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tests.conftest import Arrays, write_idx
from tests.flows.cli.conftest import Called

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
    assert done.stdout.splitlines()[-1].split(maxsplit=1) == ["verdict", "the copy is sound; train on it"]
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


def test_training_lists_every_problem(call: Call, tmp_path: Path, digits: Arrays) -> None:
    """Training on data with several problems is refused with a line for each, and with the way on."""
    folder = leaky(tmp_path / "mine", digits)
    called = call("train", "--dataset", folder)
    first, *problems, way_on = called.stderr.splitlines()
    assert (called.status, called.stdout, first) == (2, "", "digitflow: mine:") and way_on.startswith("  `digitflow")
    assert len(problems) >= 2 and all(problem.startswith("  ") for problem in problems)
    assert any("labels begin at 1" in one for one in problems) and any("same image" in one for one in problems)
