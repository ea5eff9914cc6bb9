"""A report says which run it is of."""

from datetime import UTC, datetime

import pytest

from artifacts.lineage.cache_key import StepCall
from artifacts.lineage.manifest import Manifest, StepRecord
from tasks.evaluation.gate import SmokeTest
from tasks.reporting.run_facts import MARK, run_facts, with_run_facts

CALL = StepCall(task="train", inputs={}, code={"m:f": "ab"}, libraries={})

SPEED = SmokeTest(weights_bytes=1, latency_ms=0.93, throughput=23_721.4)


def manifest(run: str = "20260102-030405-x", cached: bool = False) -> Manifest:
    return Manifest(
        run=run,
        dataset="tiny",
        recipe="fast",
        seed=0,
        hyperparameters={},
        gate={},
        started=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        machine={
            "platform": "Linux-6.1-x86_64",
            "processor": "x86_64",
            "cores": 2,
            "python": "3.11.7",
            "keras": "3.15.1",
        },
        steps=[StepRecord(name="train", cached=cached, seconds=5.25, key="", call=CALL, result=None)],
    )


def test_facts_of_a_run() -> None:
    """Version, run, times, speed, machine, libraries and code are named, the version only if it is known."""
    facts = run_facts(manifest(), SPEED, version=3, seconds=16.64)
    assert list(facts) == [
        *("Version", "Run", "Date", "Duration", "Latency", "Throughput", "Machine", "Libraries", "Code")
    ]
    assert facts["Date"] == "2026-01-02 03:04 UTC" and facts["Duration"] == "16.6 s, of these 5.2 s training"
    assert facts["Latency"] == "0.93 ms, median of one image" and facts["Throughput"] == "23,721 images/s, in batches"
    assert facts["Machine"] == "Linux on x86_64, 2 cores"
    assert facts["Libraries"] == "python 3.11.7, keras 3.15.1"
    assert "Version" not in run_facts(manifest(), SPEED, version=None, seconds=1.0)


def test_training_of_an_earlier_run_is_not_counted() -> None:
    """The duration of a run that found its model in the cache says so."""
    assert run_facts(manifest(cached=True), SPEED, version=1, seconds=0.4)["Duration"] == (
        "0.4 s; an earlier run trained the model"
    )


@pytest.mark.parametrize("code", ["ab", "cd"])
def test_code_is_told_apart(code: str) -> None:
    """Runs have the same digest of their code exactly if their steps reach the same code."""
    other = manifest()
    other.steps[0].call = StepCall(task="train", inputs={}, code={"m:f": code}, libraries={})
    same = (
        run_facts(manifest(), SPEED, version=1, seconds=1.0)["Code"]
        == run_facts(other, SPEED, version=1, seconds=1.0)["Code"]
    )
    assert same == (code == "ab")


def test_facts_are_written_into_the_page_as_text() -> None:
    """The facts take the place of the mark, escaped; the rest of the page stays as it is."""
    page = with_run_facts(f"<dl>{MARK}</dl>{MARK}".encode(), manifest("a<b>"), SPEED, version=3, seconds=1.0).decode()
    assert page.startswith("<dl><div><dt>Version</dt><dd>3</dd></div>") and page.endswith(f"</dl>{MARK}")
    assert "<dd>a&lt;b&gt;</dd>" in page
