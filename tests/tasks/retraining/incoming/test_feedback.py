"""A correction is never lost, and many are one batch, which is judged like all data."""

import base64
import json
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest

from artifacts.errors import DigitflowError
from artifacts.storage.store import Store
from tasks.data.datasets import Splits
from tasks.retraining.incoming import feedback
from tasks.retraining.incoming.batch_formats import read_batch
from tasks.retraining.incoming.feedback import hand_in, is_due, keep, take_back, waiting
from tests.command import environment
from tests.conftest import Arrays
from tests.tasks.retraining.conftest import LIMIT, judge


def handed_in(home: Path) -> list[list[int]]:
    """The labels of each batch that is handed in."""
    return [read_batch(path, Store(home), LIMIT)[1].tolist() for path in hand_in(home)]


def test_many_are_one_batch(home: Path, store: Store, digits: Arrays) -> None:
    """Corrections wait until they are handed in, as one batch, in which the last word on an image counts."""
    assert hand_in(home) == []
    for image, label in zip(digits[0][:20], digits[1][:20], strict=True):
        keep(image, 9 - int(label), "digits", home)
        kept = keep(image, int(label), "digits", home)
    assert kept.waiting == 40 and not (home / "inbox").exists()
    (placed,) = hand_in(home)
    images, labels = read_batch(placed, store, LIMIT)
    np.testing.assert_array_equal(images, digits[0][:20])
    np.testing.assert_array_equal(labels, digits[1][:20])
    assert waiting(home) == [] and hand_in(home) == []


def test_sets_and_sizes_are_apart(home: Path, store: Store, digits: Arrays) -> None:
    """Corrections of different data sets or sizes are batches of their own."""
    keep(digits[0][0], 1, "digits", home)
    keep(digits[0][0], 1, "a/b", home)
    keep(digits[0][0][:6], 1, "digits", home)
    assert {entry.name: entry.corrections for entry in waiting(home)} == {
        "a_b-8x8": 1,
        "digits-8x6": 1,
        "digits-8x8": 1,
    }
    assert sorted(read_batch(path, store, LIMIT)[0].shape for path in hand_in(home)) == [
        *((1, 6, 8), (1, 8, 8), (1, 8, 8))
    ]


def test_taken_back(home: Path, digits: Arrays) -> None:
    """A correction that is taken back is in no batch, and others are; it is taken back once."""
    assert take_back(1, home) is None and not (home / "corrections").exists()
    first, second = (keep(digits[0][i], i, "digits", home) for i in range(2))
    assert take_back(first.number, home) == 1
    assert take_back(first.number, home) is None
    assert handed_in(home) == [[1]]
    assert take_back(second.number, home) is None


def test_not_taken_out_of_a_batch(home: Path, digits: Arrays, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a batch is handed in, its corrections cannot be taken back: none is both in it and taken back."""
    kept, answers = keep(digits[0][0], 0, "digits", home), []
    sync = feedback._sync
    monkeypatch.setattr(feedback, "_sync", lambda path: (answers.append(take_back(kept.number, home)), sync(path)))
    assert handed_in(home) == [[0]]
    assert answers == [None, None]


def test_numbers_are_given_once(home: Path, digits: Arrays, monkeypatch: pytest.MonkeyPatch) -> None:
    """No two corrections have one number, even in the same moment, or after all others went into a batch."""
    numbers = []
    for second in (10**9, 10**9 + 1):
        monkeypatch.setattr(feedback.time, "time", lambda second=second: second)
        numbers += [keep(digits[0][i], i, "digits", home).number for i in range(3)]
        hand_in(home)
    assert len(numbers) == 6 and numbers == sorted(set(numbers))


def test_when_due(home: Path, digits: Arrays, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch is due when there are DUE_COUNT corrections, or when the oldest has waited for DUE_SECONDS."""
    assert not is_due(home)
    for _ in range(3):
        assert not is_due(home)
        keep(digits[0][0], 1, "digits", home)
    monkeypatch.setattr(feedback, "DUE_COUNT", 3)
    assert is_due(home)
    monkeypatch.setattr(feedback, "DUE_COUNT", 4)
    assert not is_due(home)
    monkeypatch.setattr(feedback, "DUE_SECONDS", -1)
    assert is_due(home)


KEEPER = """
import os, sys; from pathlib import Path; import numpy as np; from tasks.retraining.incoming.feedback import keep
for i in range(5):
    keep(np.full((4, 4), 10 * int(sys.argv[2]) + i, np.uint8), int(sys.argv[2]), "digits", Path(sys.argv[1]))
os.kill(os.getpid(), 9)
"""


def test_many_at_once(home: Path) -> None:
    """Corrections that several threads and processes keep at once, which are then killed, are all there."""
    command = [sys.executable, "-c", KEEPER, str(home)]
    processes = [subprocess.Popen([*command, str(number)], env=environment()) for number in range(1, 4)]
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda i: keep(np.full((4, 4), 100 + i, np.uint8), 9, "digits", home), range(20)))
    assert {process.wait() for process in processes} == {-signal.SIGKILL}
    (labels,) = handed_in(home)
    assert sorted(labels) == [*[1] * 5, *[2] * 5, *[3] * 5, *[9] * 20]


def test_killed_while_handing_in(
    home: Path, store: Store, base: Splits, *, digits: Arrays, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after the batch is in the inbox, before the corrections are gone, it comes twice and is accepted once."""
    for image, label in zip(digits[0][1000:1030], digits[1][1000:1030], strict=True):
        keep(image, int(label), "digits", home)
    with monkeypatch.context() as patch:
        patch.setattr(feedback, "_sync", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            hand_in(home)
    keep(digits[0][1030], 3, "digits", home)
    assert len(hand_in(home)) == 2
    arrivals = judge(store, base)
    assert [len(arrivals.new), len(arrivals.repeated), arrivals.quarantined] == [2, 1, {}]


class Interruption:
    """Raises KeyboardInterrupt before the line with the given number, counted in the order of execution."""

    def __init__(self, number: int):
        self.left = number

    def __call__(self, frame: FrameType, event: str, _: Any) -> Any:
        if frame.f_code.co_filename != feedback.__file__:
            return None
        if event == "line":
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt
        return self


def test_interrupted_at_any_line(tmp_path: Path, digits: Arrays) -> None:
    """Wherever handing in is interrupted, each correction comes in one batch, or twice in the same batch."""
    for number in range(1, 99):
        home, trace = tmp_path / str(number), Interruption(number)
        old_file(home, digits, 2)
        keep(digits[0][2], 2, "digits", home)
        before = sys.gettrace()
        sys.settrace(trace)
        try:
            hand_in(home)
        except KeyboardInterrupt:
            pass
        finally:
            sys.settrace(before)
        keep(digits[0][3], 3, "digits", home)
        hand_in(home)
        batches = {tuple(read_batch(path, Store(home), LIMIT)[1].tolist()) for path in (home / "inbox").glob("*.npz")}
        assert sorted(label for batch in batches for label in batch) == [0, 1, 2, 3]
        assert waiting(home) == []
        if trace.left > 0:
            break
    assert 20 < number < 98


def old_file(home: Path, digits: Arrays, count: int, name: str = "digits-8x8.jsonl") -> Path:
    """The first `count` digits, labelled by their position, as files of corrections were written up to 2026."""
    (home / "corrections").mkdir(parents=True, exist_ok=True)
    path = home / "corrections" / name
    for i, image in enumerate(digits[0][:count]):
        pixels = base64.b64encode(image.tobytes()).decode()
        line = {"pixels": pixels, "shape": [8, 8], "label": i, "dataset": "digits", "at": time.time()}
        with path.open("a") as file:
            file.write(json.dumps(line) + "\n")
    return path


def test_old_files_are_taken_in_once(home: Path, digits: Arrays) -> None:
    """Corrections that earlier versions left in files are listed and handed in once; a torn line harms no other."""
    path = old_file(home, digits, 3)
    with path.open("ab") as file:
        file.write(path.read_bytes()[:50] + b"\n")
    old_file(home, digits, 2, "1700000000000000000-digits-8x8.sealed")
    assert [(entry.name, entry.corrections) for entry in waiting(home)] == [("digits-8x8", 5)]
    assert {path.suffix for path in (home / "corrections").iterdir()} <= {".db", ""}
    assert keep(digits[0][3], 3, "digits", home).waiting == 6
    assert sorted(handed_in(home)) == [[0, 1], [0, 1, 2], [3]]
    assert hand_in(home) == []


def test_damaged_database(home: Path, digits: Arrays) -> None:
    """A database that is none is one clear line."""
    (home / "corrections").mkdir(parents=True)
    (home / "corrections" / "corrections.db").write_bytes(b"x" * 5000)
    with pytest.raises(DigitflowError, match=r"corrections\.db cannot be used: file is not a database"):
        keep(digits[0][0], 1, "digits", home)


@pytest.mark.parametrize(
    "odd", [{"label": 300}, {"label": -1}, {"label": 2**70}, {"shape": [0, 28]}, {"shape": [-8, -8]}]
)
def test_odd_old_lines_stop_no_other(odd: dict[str, object], home: Path, digits: Arrays) -> None:
    """A line of an earlier file with a label or shape that no image has is left out, and the others are handed in."""
    path = old_file(home, digits, 2)
    line = json.loads(path.read_text().splitlines()[0]) | odd
    with path.open("a") as file:
        file.write(json.dumps(line) + "\n")
    (batch,) = hand_in(home)
    with np.load(batch) as arrays:
        assert arrays["labels"].tolist() == [0, 1]
