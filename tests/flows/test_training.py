"""The cache is right first: what the flow reuses, computes anew, and foretells, on real digits and a real server."""

import shutil
import threading
from collections.abc import Set
from contextvars import copy_context
from itertools import cycle, zip_longest
from pathlib import Path

import pytest
from prefect.client.orchestration import get_client

from artifacts.errors import UsageError
from artifacts.lineage.manifest import Manifest, manifests
from artifacts.storage import cache_entries
from artifacts.storage.eviction import survey
from artifacts.storage.settings import Settings
from artifacts.storage.store import Ref, references
from flows.plan import Plan
from flows.preview import preview
from flows.publication.outcome import Outcome, Stopped
from flows.recorded_run import prune_home
from flows.training import training
from tasks.evaluation.gate import Gate
from tasks.model.hyperparameters import Overrides
from tests.conftest import Arrays, write_idx

pytestmark = pytest.mark.prefect

STEPS = (
    "read",
    "validate",
    "normalise-and-reshape",
    "one-hot-encode",
    "train",
    "evaluate",
    "save-weights",
    "evaluate-champion",
    "check-gate",
    "report",
)


@pytest.fixture(scope="module")
def template(api: str, smoke_test_here: None, digits: Arrays, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home after one finished run, beside the data it read; each test works on a copy."""
    folder = tmp_path_factory.mktemp("template")
    write_idx(folder / "digits", digits)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DIGITFLOW_HOME", str(folder / "home"))
        _train(folder)
    return folder


@pytest.fixture
def world(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(template, tmp_path / "world")
    monkeypatch.setenv("DIGITFLOW_HOME", str(tmp_path / "world" / "home"))
    return tmp_path / "world"


def _request(folder: Path, **changes: object) -> dict[str, object]:
    return {
        "dataset": str(folder / "digits"),
        "seed": 0,
        "recipe": "tutorial",
        "hyperparameters": Overrides(epochs=1),
        "gate": Gate(min_accuracy=0.1),
    } | changes


def _train(folder: Path, **changes: object) -> Outcome:
    outcome: Outcome = training(**_request(folder, **changes))
    return outcome


def _computed(outcome: Outcome) -> list[str]:
    return [task["name"] for task in outcome.tasks if not task["cached"]]


def _previewed(folder: Path, **changes: object) -> dict[str, tuple[str, list[str]]]:
    settings = Settings.load()
    plan = Plan.of(**_request(folder, **changes), settings=settings)  # type: ignore[arg-type]
    return {finding.name: (finding.cache, finding.reasons) for finding in preview(plan, settings)}


def _latest() -> Manifest:
    return next(manifests(Settings.load().artifacts))


def _refs(step: str) -> list[Ref]:
    return next(list(references(record.result)) for record in _latest().steps if record.name == step)


def test_nothing_changed(world: Path) -> None:
    """An identical run takes every step from the cache, also from a home that was moved."""
    assert {name: cache for name, cache in _previewed(world).items() if cache[0] != "hit"} == {}

    assert _computed(_train(world)) == []


def test_the_run_says_what_happened(world: Path) -> None:
    """The flow run's name and the message of its state have data set, recipe, accuracy, what came of it and version,
    and the message where the report is."""
    state = training(**_request(world), return_state=True)
    outcome = state.result()
    what = f"digits tutorial (changed) {100 * outcome.accuracy:.2f}% unchanged v1"
    assert what in str(state.message) and outcome.report in str(state.message)
    with get_client(sync_client=True) as client:
        names = [run.name for run in client.read_flow_runs(limit=200)]
    assert any(name.startswith(f"{what} (") and name[len(what) + 2 : -1] in outcome.run for name in names)


def test_hyperparameter(world: Path) -> None:
    """Another number of epochs computes training and what follows from it, and explain-cache names it."""
    changes = {"hyperparameters": Overrides(epochs=2)}
    previewed = _previewed(world, **changes)
    assert previewed["train"] == ("miss", ["input hyperparameters.epochs: 1 → 2"])
    computed = _computed(_train(world, **changes))
    assert computed == ["train", "evaluate", "save-weights", "evaluate-champion", "check-gate", "report"]
    assert [name for name, (cache, _) in previewed.items() if cache != "hit"] == computed


def test_refresh(world: Path) -> None:
    """A step that is to be computed again is, once, as explain-cache says; the manifest says that it gave the same."""
    previewed = _previewed(world, refresh=("train",))
    assert previewed["train"] == ("miss", ["it is to be computed again"])
    outcome = _train(world, refresh=("train",))
    assert _computed(outcome) == ["train"]
    assert [task["name"] for task in outcome.tasks if all(task.get("equal", {"": False}).values())] == ["train"]
    record = next(step for step in _latest().steps if step.name == "train")
    assert record.replaced == record.result
    assert _computed(_train(world)) == []


def test_refresh_that_gives_another_result(world: Path) -> None:
    """If the result is not the one that the cache held, the run says which part differs, and the new one counts."""
    store, key, truth = Settings.load().artifacts, *_key_and_result("train")
    _train(world, seed=1)
    other, _ = _key_and_result("train")
    cache_entries.put(store, key, cache_entries.get(store, other) or b"")
    outcome = _train(world, refresh=("train",))
    (equal,) = [task["equal"] for task in outcome.tasks if "equal" in task]
    assert equal["weights"] is False
    assert _key_and_result("train") == (key, truth)
    assert _computed(_train(world)) == []


def _key_and_result(step: str) -> tuple[str, object]:
    return next((record.key, record.result) for record in _latest().steps if record.name == step)


def test_until(world: Path) -> None:
    """A run that ends after a step computes none that follows, judges nothing, and names the files of its result."""
    manifest_before, changes = _latest(), {"hyperparameters": Overrides(epochs=2)}
    stopped: Stopped = training(**_request(world, until="train", **changes))
    assert [task["name"] for task in stopped.tasks] == list(STEPS[:5])
    assert stopped.results["weights"].endswith(".h5") and Path(stopped.results["weights"]).exists()
    latest = _latest()
    assert (latest.run, latest.status, latest.version) == (stopped.run, "stopped", None) != (manifest_before.run,)
    assert _computed(_train(world, **changes)) == [
        "evaluate",
        "save-weights",
        "evaluate-champion",
        "check-gate",
        "report",
    ]


def test_unknown_step(world: Path) -> None:
    """A step that the run does not have is refused with the name of one that it has."""
    for request in ({"refresh": ("trian",)}, {"until": "trian"}):
        with pytest.raises(UsageError, match="no step 'trian'; did you mean 'train'"):
            _train(world, **request)
    with pytest.raises(UsageError, match="no step 'download'"):  # of a data set that lies here
        _train(world, until="download")


def test_library(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another version of Keras computes anew the steps that it shapes, and no other before them."""
    from artifacts.lineage import environment

    real = environment._version
    monkeypatch.setattr(environment, "_version", lambda name: "0.0" if name == "keras" else real(name))
    cache, reasons = _previewed(world)["train"]
    assert cache == "miss" and reasons == [f"library keras: {real('keras')} → 0.0"]
    computed = _computed(_train(world))
    assert {"train", "evaluate", "save-weights"} <= set(computed)
    assert not {"read", "validate", "normalise-and-reshape", "one-hot-encode"} & set(computed)


@pytest.mark.parametrize("first", [0, 1])
def test_damaged_artifact(world: Path, first: int) -> None:
    """Of any artifact that is deleted, truncated or changed in one bit, the step that made it is computed anew, and no
    later one, since its result is the same. Of every other step one artifact at a time is damaged."""
    made: dict[str, list[Path]] = {step: [] for step in STEPS[first::2]}
    seen: set[str] = set()
    for record in _latest().steps:
        for ref in references(record.result):
            if ref.name not in seen and record.name in made:
                made[record.name].append(world / "home" / "objects" / ref.name)
            seen.add(ref.name)
    harms = cycle([_delete, _truncate, _flip])
    for paths in zip_longest(*made.values()):
        damaged = {step: path for step, path in zip(made, paths, strict=True) if path}
        sound = {path: path.read_bytes() for path in damaged.values()}
        for path in sound:
            next(harms)(path)
        previewed = _previewed(world)
        assert {previewed[step][0] for step in damaged} == {"miss"}, damaged
        assert set(_computed(_train(world))) == _with_timing(damaged.keys())
        for step, path in damaged.items():
            assert step == "save-weights" or path.read_bytes() == sound[path], path


def _delete(path: Path) -> None:
    path.unlink()


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def _with_timing(steps: Set[str]) -> set[str]:
    """The steps, and what follows from measuring the speed of saved weights anew: it comes out another."""
    return {*steps, "check-gate"} if "save-weights" in steps else {*steps}


@pytest.mark.parametrize("first", range(3))
def test_damaged_record(world: Path, first: int) -> None:
    """A record with one wrong byte is as good as none: its step is computed anew, and only that, unless, as the speed
    of saved weights, the result comes out another. The records of every third step are damaged."""
    damaged = STEPS[first::3]
    for record in _latest().steps:
        if record.name in damaged:
            path = world / "home" / "records" / record.key
            data = bytearray(path.read_bytes())
            data[-20] ^= 1
            path.write_bytes(data)
    assert set(_computed(_train(world))) == _with_timing(set(damaged))


def test_two_at_once(world: Path) -> None:
    """Of two runs at once, one computes each step; the other waits and takes the result."""
    changes = {"hyperparameters": Overrides(epochs=2), "seed": 5}
    outcomes: list[Outcome] = []
    threads = [
        threading.Thread(target=copy_context().run, args=(lambda: outcomes.append(_train(world, **changes)),))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    by_both = [name for outcome in outcomes for name in _computed(outcome)]
    assert sorted(by_both) == sorted(["train", "evaluate", "save-weights", "evaluate-champion", "check-gate", "report"])


def test_pruned_all_the_while(world: Path) -> None:
    """A run under which everything is evicted that may be, again and again, ends as it would without."""
    changes = {"hyperparameters": Overrides(epochs=2), "seed": 6}
    done = threading.Event()

    def evict() -> None:
        while not done.wait(0.02):
            prune_home(Settings.load(), max_bytes=0)

    thread = threading.Thread(target=evict)
    thread.start()
    try:
        pruned = _train(world, **changes)
    finally:
        done.set()
        thread.join()
    assert pruned.gate.passed and Path(pruned.weights).is_file()
    assert _train(world, **changes).weights == pruned.weights


def test_pruned_after_a_run(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With DIGITFLOW_MAX_SIZE, arrays are evicted when a run ends, and the next run comes to the same."""
    monkeypatch.setenv("DIGITFLOW_MAX_SIZE", "1kB")
    first, second = _train(world), _train(world)
    assert "npy" not in {usage.kind for usage in survey(Settings.load().artifacts)}
    assert second.weights == first.weights and second.accuracy == first.accuracy


def test_another_gate(world: Path) -> None:
    """A gate with other limits decides anew, by what was measured before, and nothing else is computed."""
    passed = _train(world, gate=Gate(min_accuracy=0.1, max_weights_bytes=10**6))
    assert _computed(passed) == ["check-gate", "report"] and passed.gate.passed
    rejected = _train(world, gate=Gate(min_accuracy=0.1, max_weights_bytes=100))
    assert _computed(rejected) == ["check-gate", "report"] and not rejected.gate.passed
    assert "bytes of weights is" in rejected.gate.reason
