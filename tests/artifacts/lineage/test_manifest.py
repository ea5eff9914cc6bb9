"""A manifest tells what a run did, also of a run that failed, was killed, or was made by earlier code."""

import json
import threading
from datetime import UTC, datetime
from typing import Any

import pytest

from artifacts.errors import UsageError
from artifacts.lineage.cache_key import StepCall
from artifacts.lineage.manifest import Manifest, Run, damaged_manifests, find_manifest, is_alive, manifests
from artifacts.storage.store import Ref, Store

FIELDS: dict[str, Any] = {"dataset": "d", "recipe": "r", "seed": 0, "hyperparameters": {}, "gate": {}}
WEIGHTS = Ref(sha256="a" * 64, kind="weights.h5")
TEST = Ref(sha256="b" * 64, kind="npy", shape=(10, 8, 8), dtype="uint8")
BASELINE = {"version": None, "weights": None, "hyperparameters": None, "absence": "no champion yet", "decisions": 0}
CALL = StepCall(task="t", inputs={}, code={}, libraries={})


def old_step(name: str, result: Any, **inputs: Any) -> dict[str, Any]:
    """A step as code up to November 2026 recorded it, when modules counted in the key."""
    call = StepCall(task=name, inputs=inputs, code={f"tasks.{name}:{name}": "0" * 64}, libraries={})
    parts = {"call": call.model_dump(), "key": call.key_with_modules, "result": result}
    return {"name": name, "cached": False, "seconds": 0.1, **parts}


def old_manifest(**changes: Any) -> dict[str, Any]:
    """A manifest as code up to November 2026 wrote it."""
    weights, test = WEIGHTS.model_dump(mode="json"), TEST.model_dump(mode="json")
    splits = {"train": {"images": weights, "labels": weights}, "test": {"images": test, "labels": weights}}
    steps = [
        old_step("download", splits),
        old_step("train", {"weights": weights, "history": weights}),
        old_step("check-gate", weights, opponent=BASELINE),
    ]
    decided = {"status": "passed", "accuracy": 0.9, "registry": "local", "version": 3, "error": None}
    times = {"started": "2026-11-25T15:02:31Z", "ended": "2026-11-25T15:02:41Z", "machine": {"cores": 2}}
    return {"schema_version": 1, "run": "old", **FIELDS, **decided, **times, "steps": steps, "exports": {}} | changes


def test_earlier_manifests(store: Store) -> None:
    """The weights, test images and baseline of a run by earlier code are read from its steps."""
    store.write("runs/old/manifest.json", json.dumps(old_manifest()).encode())
    (manifest,) = manifests(store)
    assert (manifest.schema_version, manifest.version) == (1, 3)
    assert (manifest.weights, manifest.test, manifest.baseline) == (WEIGHTS, TEST, BASELINE)


@pytest.mark.parametrize("changes", [{"version": None, "status": "failed"}, {"steps": []}])
def test_earlier_manifests_without_a_model(changes: dict[str, Any]) -> None:
    """A run by earlier code that registered no model, or whose steps are not known, has no weights and no baseline."""
    manifest = Manifest.model_validate(old_manifest(**changes))
    assert (manifest.weights, manifest.test, manifest.baseline) == (None, None, None)


def test_finished_run(store: Store) -> None:
    """What a run is finished with is read from its manifest, with all steps."""
    with Run.recording(store, run="one", **FIELDS) as run:
        run.note(CALL, False, 1.23456, {"weights": WEIGHTS.model_dump(mode="json")})
        run.finish("passed", version=1, weights=WEIGHTS, test=TEST, baseline=BASELINE)
    (manifest,) = manifests(store)
    assert (manifest.schema_version, manifest.status, manifest.version) == (2, "passed", 1)
    assert (manifest.weights, manifest.test, manifest.baseline) == (WEIGHTS, TEST, BASELINE)
    assert [(step.name, step.seconds, step.key) for step in manifest.steps] == [("t", 1.235, CALL.key)]


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (ValueError("no"), "failed", "no"),
        (KeyboardInterrupt(), "interrupted", "by Ctrl-C"),
        (SystemExit(1), "interrupted", "its process was told to end"),
    ],
)
def test_exceptions_are_recorded(error: BaseException, status: str, text: str, store: Store) -> None:
    """An exception ends the run as failed or, if a person caused it, as interrupted; it is raised further."""
    with pytest.raises(type(error)), Run.recording(store, run="one", **FIELDS):
        raise error
    (manifest,) = manifests(store)
    assert (manifest.status, manifest.error, Run.current()) == (status, text, None)


def test_alive(store: Store) -> None:
    """A run is alive until it ends, seen from any thread."""
    seen: list[bool] = []
    with Run.recording(store, run="one", **FIELDS) as run:
        thread = threading.Thread(target=lambda: seen.append(is_alive(store, run.manifest)))
        thread.start()
        thread.join()
        seen.append(is_alive(store, run.manifest))
    assert seen == [True, True] and not is_alive(store, next(manifests(store)))


def test_start_over(store: Store) -> None:
    """A cached step that the run itself computed before it started over counts as computed, with its time."""
    with Run.recording(store, run="one", **FIELDS) as run:
        run.note(CALL, False, 2.0, None)
        run.start_over()
        run.note(CALL, True, 0.1, None)
        assert [(step.cached, step.seconds) for step in run.manifest.steps] == [(False, 2.0)]


def test_damaged_manifests(store: Store) -> None:
    """A manifest that is cut short, or that refers to nothing possible, is listed as damaged and otherwise left out."""
    bad = old_manifest(steps=[old_step("train", {"weights": {"sha256": "zz"}})])
    contents = {"a": b'{"schema_', "b": json.dumps(bad).encode()}
    damaged = [store.write(f"runs/{run}/manifest.json", content) for run, content in contents.items()]
    with Run.recording(store, run="c", **FIELDS):
        pass
    assert [manifest.run for manifest in manifests(store)] == ["c"]
    assert sorted(damaged_manifests(store)) == damaged


def test_find_by_part_of_a_name(store: Store) -> None:
    """A run is found by its name, or by a part that no other run has; otherwise the matches are named."""
    for run in ("1-fox", "1-fox-2", "2-owl"):
        manifest = Manifest(run=run, started=datetime.now(UTC), **FIELDS)
        store.write(f"runs/{run}/manifest.json", manifest.model_dump_json().encode())
    assert [find_manifest(store, name).run for name in ("owl", "1-fox")] == ["2-owl", "1-fox"]
    for name, matches in (("fox", "1-fox-2, 1-fox"), ("hen", "none"), ("", "none")):
        with pytest.raises(UsageError, match=f"it matches {matches}; see: digitflow runs"):
            find_manifest(store, name)
