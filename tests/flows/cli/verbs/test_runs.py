"""`digitflow runs` lists what each run came to, and `digitflow verify` finds what is damaged or missing."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from artifacts.lineage.cache_key import StepCall
from artifacts.lineage.manifest import Run, StepRecord
from artifacts.storage.store import Ref, Store
from tests.flows.cli.conftest import Called


@pytest.fixture
def exported(store: Store) -> Ref:
    """The weights of the run "first", which passed; the run "second" failed."""
    fields = {"dataset": "digits", "recipe": "tutorial", "seed": 3, "hyperparameters": {}, "gate": {}}
    ref = store.put(np.arange(3))
    with Run.recording(store, run="20260101-first", **fields) as run:
        run.export(ref, "models/weights.npy")
        run.finish("passed", accuracy=0.975)
    with pytest.raises(ValueError), Run.recording(store, run="20260102-second", **fields):
        raise ValueError("no data")
    return ref


def test_runs_are_listed(call: Callable[..., Called], exported: Ref) -> None:
    """Each run has a row with its verdict, its error and its accuracy, the latest first; so has the JSON."""
    head, second, first = call("runs").stdout.splitlines()
    assert head.split() == ["RUN", "DATA", "SET", "RECIPE", "ACCURACY", "AGE", "VERDICT"]
    assert first.split()[:4] == ["20260101-first", "digits", "tutorial", "97.50%"] and first.endswith(" s  passed")
    assert second.split()[:3] == ["20260102-second", "digits", "tutorial"] and "failed: no data" in second
    rows = json.loads(call("runs", "--json").stdout)
    assert [(row["run"], row["verdict"], row["error"]) for row in rows] == [
        ("20260102-second", "failed", "no data"),
        ("20260101-first", "passed", None),
    ]
    keys = {"run", "dataset", "recipe", "seed", "accuracy", "started", "ended", "error", "verdict", "cached", "version"}
    assert rows[0].keys() == keys


def test_a_run_from_the_cache(call: Callable[..., Called], home: Path) -> None:
    """A run whose every step came from the cache says so; one that computed a step, or did not end, does not."""
    fields = {"dataset": "digits", "recipe": "tutorial", "seed": 0, "hyperparameters": {}, "gate": {}}
    call_ = StepCall(task="train", inputs={}, code={}, libraries={})
    for name, cached in (("20260101-new", (True, False)), ("20260102-again", (True, True))):
        with Run.recording(Store(home), run=name, **fields) as run:
            for one in cached:
                step = StepRecord(name="train", cached=one, seconds=0, key="0", call=call_, result={})
                run.manifest.steps.append(step)
            run.finish("passed")
    with pytest.raises(ValueError), Run.recording(Store(home), run="20260103-failed", **fields) as run:
        run.manifest.steps.append(StepRecord(name="train", cached=True, seconds=0, key="0", call=call_, result={}))
        raise ValueError("no data")
    verdicts = [line.split("  ")[-1] for line in call("runs").stdout.splitlines()[1:]]
    assert verdicts == ["failed: no data", "passed, from cache", "passed"]
    assert [row["cached"] for row in json.loads(call("runs", "--json").stdout)] == [False, True, False]


def test_damaged_manifest_is_noted(call: Callable[..., Called], exported: Ref, home: Path) -> None:
    """A manifest that cannot be read is named on stderr, and the other runs are listed."""
    (home / "runs" / "20260102-second" / "manifest.json").write_text("{")
    called = call("runs", "--json")
    assert "20260102-second" in called.stderr and "is damaged" in called.stderr
    assert [row["run"] for row in json.loads(called.stdout)] == ["20260101-first"]


def test_a_copied_manifest_is_noted(call: Callable[..., Called], exported: Ref, home: Path) -> None:
    """A manifest in a folder of another name is a copy: it is named on stderr, and its run is listed once. So is one
    whose time has no zone."""
    shutil.copytree(home / "runs" / "20260101-first", home / "runs" / "copy")
    path = home / "runs" / "20260102-second" / "manifest.json"
    path.write_text(re.sub(r'("started": "[^"]{19})[^"]*"', r'\1"', path.read_text()))
    called = call("runs", "--json")
    assert "copy" in called.stderr and "20260102-second" in called.stderr
    assert [row["run"] for row in json.loads(called.stdout)] == ["20260101-first"]


@pytest.mark.parametrize("harm", ["", "differs", "missing"])
def test_verify(harm: str, call: Callable[..., Called], exported: Ref, home: Path) -> None:
    """The exit status is 0 if each file of a run, named by a part of its name, holds, and 1 if one does not."""
    path = home / "models" / "weights.npy"
    if harm:
        path.unlink()
    if harm == "differs":
        path.write_bytes(b"other bytes")
    called = call("verify", "first", "--json")
    (claim,) = json.loads(called.stdout)
    assert (claim["step"], claim["what"], claim["state"]) == ("files", "models/weights.npy", harm or "holds")
    assert called.status == bool(harm)


def test_unknown_run(call: Callable[..., Called], exported: Ref) -> None:
    """A name that matches no run, or several, is refused with the matches."""
    for name, words in (("third", "none"), ("2026", "20260101-first")):
        called = call("verify", name)
        assert (called.status, called.stdout) == (2, "") and words in called.stderr


def flow_run(number: int, state: str, run_count: int = 0) -> dict[str, object]:
    """What Prefect's server tells of a run, in part."""
    told = {"name": state, "message": "as http://ann:secret@host said", "timestamp": "2026-01-01T00:00:00Z"}
    given = {"dataset": "http://ann:secret@host/data"}
    return {"name": f"run-{number}", "parameters": given, "run_count": run_count, "state": told}


def test_runs_that_never_started(call: Callable[..., Called], exported: Ref, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many others the server has, the runs that never started are listed in their place, without passwords."""
    told = [flow_run(i, "Failed", run_count=1) for i in range(250)] + [flow_run(250, "Crashed"), flow_run(251, "Late")]

    def ask(url: str, what: str, body: dict[str, int]) -> tuple[int, object]:
        return 200, told[body["offset"] :][: body["limit"]]

    monkeypatch.setattr("flows.cli.verbs.runs.configured_url", lambda: "http://host/api")
    monkeypatch.setattr("flows.cli.verbs.runs.ask_server", ask)
    called = call("runs", "--json")
    assert [(row["run"], row["verdict"]) for row in json.loads(called.stdout)] == [
        ("20260102-second", "failed"),
        ("20260101-first", "passed"),
        ("run-250", "never started, Crashed"),
        ("run-251", "not started yet, Late"),
    ]
    assert "secret" not in called.stdout + call("runs").stdout


@pytest.mark.parametrize("answer", [None, [1, 2], [flow_run(1, "Late") | {"state": None}], {"detail": "no"}])
def test_server_that_answers_otherwise(
    answer: object, call: Callable[..., Called], exported: Ref, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the named server does not answer as Prefect does, this home's runs are listed, and a line says what is
    missing."""
    monkeypatch.setattr("flows.cli.verbs.runs.configured_url", lambda: "http://ann:secret@host/api")
    monkeypatch.setattr("flows.cli.verbs.runs.ask_server", lambda *_: (200, answer))
    called = call("runs", "--json")
    assert len(json.loads(called.stdout)) == 2 and called.status == 0
    assert "so runs that never started are not listed" in called.stderr and "secret" not in called.stderr
