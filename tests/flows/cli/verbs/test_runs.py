"""`digitflow runs` lists what each run came to, and `digitflow verify` finds what is damaged or missing."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from artifacts.lineage.manifest import Run
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
    assert head.split() == ["RUN", "DATA", "SET", "RECIPE", "ACCURACY", "VERDICT", "AGE"]
    assert first.split()[:5] == ["20260101-first", "digits", "tutorial", "97.50%", "passed"] and first.endswith("s ago")
    assert second.split()[:3] == ["20260102-second", "digits", "tutorial"] and "failed: no data" in second
    rows = json.loads(call("runs", "--json").stdout)
    assert [(row["run"], row["verdict"], row["error"]) for row in rows] == [
        ("20260102-second", "failed", "no data"),
        ("20260101-first", "passed", None),
    ]
    assert rows[0].keys() == {"run", "dataset", "recipe", "seed", "accuracy", "started", "ended", "error", "verdict"}


def test_damaged_manifest_is_noted(call: Callable[..., Called], exported: Ref, home: Path) -> None:
    """A manifest that cannot be read is named on stderr, and the other runs are listed."""
    (home / "runs" / "20260102-second" / "manifest.json").write_text("{")
    called = call("runs", "--json")
    assert "20260102-second" in called.stderr and "is damaged" in called.stderr
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


def test_server_that_does_not_answer(
    call: Callable[..., Called], exported: Ref, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the named server does not answer, the runs of this home are listed, and a line says what is missing."""
    monkeypatch.setenv("PREFECT_API_URL", "http://ann:secret@127.0.0.1:9/api")
    called = call("runs", "--json")
    assert len(json.loads(called.stdout)) == 2 and called.status == 0
    assert "runs that never started are not listed" in called.stderr and "secret" not in called.stderr
