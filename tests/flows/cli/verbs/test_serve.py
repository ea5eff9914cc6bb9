"""`digitflow serve` starts or says why not, and `digitflow drift` shows what was counted. What `serve` serves is tested
in tests/flows/web."""

import json
import socket
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from artifacts.storage.store import Store
from tasks.monitoring import record
from tasks.monitoring.drift import PREDICTED, Reference, measure
from tasks.monitoring.record import Read, add_to_today
from tests.command import digitflow
from tests.conftest import Arrays
from tests.flows.cli.conftest import Called

Call = Callable[..., Called]
TODAY = datetime.now(UTC).date()


def test_taken_port() -> None:
    """A port that is in use is one clear line."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = digitflow("serve", "--port", taken.getsockname()[1])
    assert done.returncode == 2 and "choose another with --port" in done.stderr and done.stderr.count("\n") == 1


@pytest.fixture
def counted(store: Store, digits: Arrays) -> Path:
    """Version 3 of `digits` read digits as they are today, and turned ones ten days ago; `letters` has no reference."""
    images, labels = digits[0][:1000], digits[1][:1000]
    reference, read = Reference.of(images, labels), Read("digits", 3, "ab" * 32)
    store.write(f"monitoring/references/{read.reference}.json", reference.model_dump_json().encode())
    for days, pixels in ((10, images[:, ::-1]), (0, images)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(record, "_today", lambda days=days: TODAY - timedelta(days=days))
            add_to_today(store.home, read, reference.count(measure(pixels), labels, PREDICTED))
    add_to_today(store.home, Read("letters", 1, "cd" * 32), {PREDICTED: (2,)})
    return store.home


@pytest.mark.usefixtures("counted")
def test_days(call: Call) -> None:
    """Each day and version has a row with its worst statistic, and the last drift is told in words."""
    done = call("drift")
    assert done.status == 0
    assert [line.split()[:4] for line in done.stdout.splitlines()[1:]] == [
        [str(TODAY), "digits", "3", "1,000"],
        [str(TODAY), "letters", "1", "2"],
        [str(TODAY - timedelta(days=10)), "digits", "3", "1,000"],
    ]
    _, today, letters, turned = done.stdout.splitlines()
    assert today.endswith("no drift") and letters.endswith("are gone")
    assert "slant" in turned and turned.endswith(" drift") and not turned.endswith("no drift")
    assert f"on {TODAY - timedelta(days=10)} the images that version 3 of digits read" in done.stderr
    assert "slant" in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.usefixtures("counted")
def test_some_days(call: Call) -> None:
    """Data set and days choose the rows; JSON has the index and the threshold of each statistic."""
    rows = json.loads(call("drift", "--dataset", "digits", "--json").stdout)
    assert [row["is_drift"] for row in rows] == [False, True]
    assert {"statistic", "index", "threshold"} == rows[0]["drift"][0].keys() and len(rows[0]["drift"]) == 6
    assert len(json.loads(call("drift", "--dataset", "digits", "--days", 10, "--json").stdout)) == 1
    quiet = call("drift", "--dataset", "digits", "--days", 10)
    assert "like the training images" in quiet.stderr and quiet.status == 0


@pytest.mark.usefixtures("counted")
def test_unknown_data_set(call: Call) -> None:
    """A data set of which nothing was counted is refused with the one that may be meant."""
    refused = call("drift", "--dataset", "digit")
    assert (refused.status, refused.stdout) == (2, "") and refused.stderr.count("\n") == 1
    assert "'digit'" in refused.stderr and "did you mean 'digits'?" in refused.stderr
    assert call("drift", "--days", 0).status == 2


def test_nothing_counted(call: Call, home: Path) -> None:
    """Where nothing was counted, that is said, with what counts; nothing is written."""
    done = call("drift")
    assert (done.status, done.stdout) == (0, "") and "no image was counted" in done.stderr
    assert "digitflow serve" in done.stderr and "predict --output" in done.stderr
    assert json.loads(call("drift", "--json").stdout) == [] and not home.exists()
