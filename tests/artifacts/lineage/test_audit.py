"""`verify` says of each statement of a manifest whether it is still true, and differences of calls are named."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from artifacts.lineage.audit import differences, verify
from artifacts.lineage.cache_key import StepCall
from artifacts.lineage.manifest import Manifest, Run
from artifacts.storage.arrays import at_once
from artifacts.storage.store import Store
from tests.artifacts.lineage.test_manifest import FIELDS, old_manifest, old_step


@pytest.fixture
def manifest(store: Store) -> Manifest:
    """The manifest of a run with one step, whose result is an array that the run exported too."""
    with Run.recording(store, run="one", **FIELDS) as run:
        ref = store.put(np.arange(3))
        run.note(StepCall.of("t", at_once, {"n": 1}, ("numpy",)), False, 0.0, ref)
        run.export(ref, "models/array")
        run.finish("passed")
    return run.manifest


def states(store: Store, manifest: Manifest) -> dict[str, str]:
    """The state of each claim, by what it is about; an artifact by its kind."""
    return {claim.what.partition(" ")[0]: claim.state for claim in verify(store, manifest)}


def test_intact_run(store: Store, manifest: Manifest) -> None:
    """Of an untouched run, each statement holds."""
    assert states(store, manifest) == dict.fromkeys(("key", "code", "npy", "models/array"), "holds")


@pytest.mark.parametrize(
    ("damage", "state"), [(Path.unlink, "missing"), (lambda path: path.write_bytes(b"else"), "differs")]
)
@pytest.mark.parametrize("what", ["npy", "models/array"])
def test_damaged_files(damage: Any, state: str, what: str, store: Store, manifest: Manifest) -> None:
    """A file that is gone is missing and one with other bytes differs; nothing else is affected."""
    (ref,) = manifest.exports.values()
    path = store.path(ref) if what == "npy" else store.home / what
    damage(path)
    assert {name: is_now for name, is_now in states(store, manifest).items() if is_now != "holds"} == {what: state}


def test_forged_key(store: Store, manifest: Manifest) -> None:
    """A key that does not follow from its call differs."""
    manifest.steps[0].key = "0" * 64
    assert states(store, manifest)["key"] == "differs"


@pytest.mark.parametrize("code", [{"tasks.gone:f": "0" * 64}, {"elsewhere.gone:f": "0" * 64}, {"": "0" * 64}, {}])
def test_gone_module(code: dict[str, str], store: Store, manifest: Manifest) -> None:
    """Code whose module is gone, or was never of the project, differs."""
    manifest.steps[0].call = StepCall(task="t", inputs={}, code=code, libraries={})
    assert states(store, manifest)["code"] == "differs"


def test_earlier_run(store: Store) -> None:
    """The keys of a run by earlier code, in which modules counted, hold; its code differs."""
    manifest = Manifest.model_validate(old_manifest(steps=[old_step("download", None)]))
    assert states(store, manifest) == {"key": "holds", "code": "differs"}


def test_differences() -> None:
    """Inputs, code and libraries that differ from the most similar earlier call are named, with both values."""
    parts: dict[str, Any] = {
        "task": "t",
        "inputs": {"images": {"sha256": "a" * 64}, "hp": {"epochs": 1, "rate": 2}},
        "code": {"tasks.a:f": "0", "tasks.a:g": "0", "tasks.a:": "0"},
        "libraries": {"numpy": "1"},
    }
    new = {
        "task": "t",
        "inputs": {"images": {"sha256": "b" * 64}, "hp": {"epochs": 1, "rate": 3}},
        "code": {"tasks.a:f": "1", "tasks.b:h": "0", "tasks.a:": "1"},
        "libraries": {"numpy": "2"},
    }
    far = parts | {"inputs": {}, "libraries": {}}
    assert differences([StepCall(**far), StepCall(**parts)], StepCall(**new)) == [
        "input hp.rate: 2 → 3",
        f"input images: {'a' * 12}… → {'b' * 12}…",
        "code: the top level in tasks/a.py changed",
        "code: f in tasks/a.py changed",
        "code: g in tasks/a.py is gone",
        "code: h in tasks/b.py is new",
        "library numpy: 1 → 2",
    ]
    assert differences([], StepCall(**new)) == ["it has not run before"]


def test_moved_code_is_no_difference() -> None:
    """A definition that only moved is no difference, and one that moved and changed is named once, where it is now."""
    parts: dict[str, Any] = {"task": "t", "inputs": {}, "libraries": {}}
    before = StepCall(**parts, code={"tasks.a:f": "0", "tasks.a:g": "0"})
    after = StepCall(**parts, code={"tasks.b:f": "0", "tasks.b:g": "1"})
    assert differences([before], after) == ["code: g in tasks/b.py changed"]
