"""The rule of promotion, with a registry in memory: a model is judged once, and only a proven one becomes champion."""

from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
import pytest

from artifacts.errors import ArtifactLost, DigitflowError, UsageError
from artifacts.lineage.manifest import Manifest
from artifacts.storage.store import Digest, Ref, Store
from tasks.evaluation.gate import Baseline, Gate
from tasks.registry.promotion import Decision, register_and_promote, retry_if_champion_changed, select_baseline
from tasks.registry.versions import Candidate, ChampionChanged, Package, Promotion, Version
from tests.tasks.registry.conftest import candidate

TEST = Ref(sha256="ab" * 32, kind="npy", shape=(20, 8, 8), dtype="uint8")
GATE = Gate(min_accuracy=0.5)
PACKAGE = Package({}, np.zeros((1, 8, 8, 1), np.float32), {})


class FakeRegistry:
    """A registry of one data set in memory. Versions whose weights are in `gone` cannot be restored."""

    def __init__(self) -> None:
        self.versions: list[Version] = []
        self.changes: list[Promotion] = []
        self.gone: set[Ref] = set()
        self.error: DigitflowError | None = None
        self.lookups = 0

    @property
    def champion_number(self) -> int | None:
        return self.changes[-1].version if self.changes else None

    def champion(self, dataset: str) -> Version | None:
        self.lookups += 1
        if self.error:
            raise self.error
        return next((version for version in self.versions if version.version == self.champion_number), None)

    def contains(self, key: str | None, number: int | None, weights: Ref) -> bool:
        return key == "fake" and (number, weights) in [(v.version, v.weights) for v in self.versions]

    def test_set_uses(self, test: Digest, besides: Ref | None = None) -> int:
        return sum(version.test == test and version.weights != besides for version in self.versions)

    def restore(self, version: Version, store: Store) -> bool:
        return version.weights not in self.gone

    def register(self, candidate: Candidate, package: Package, store: Store) -> Version:
        for version in self.versions:
            if (version.weights, version.test) == (candidate.weights, candidate.test):
                return version
        place = {"version": len(self.versions) + 1, "aliases": (), "created": datetime.now(UTC), "mlflow_run": ""}
        self.versions.append(Version.model_validate(dict(candidate) | place))
        return self.versions[-1]

    def history(self, dataset: str) -> list[Promotion]:
        return self.changes

    def mark_rejected(self, version: Version, reason: str) -> None:
        marked = self.versions[version.version - 1].model_copy(update={"passed": False, "reason": reason})
        self.versions[version.version - 1] = marked

    def promote(self, version: Version, reason: str, expected: int | None, *, run: str | None = None) -> Promotion:
        if self.champion_number != expected:
            raise ChampionChanged("the champion changed meanwhile")
        fields = {"dataset": version.dataset, "version": version.version, "replaced": expected, "run": run}
        self.changes.append(Promotion(**fields, kind="promotion", reason=reason, at=datetime.now(UTC)))
        return self.changes[-1]


class Runs:
    """Runs of a pipeline that learns a model whose weights are known by a number, and judges it by a gate."""

    def __init__(self, store: Store):
        self.store, self.registry, self.manifests = store, FakeRegistry(), list[Manifest]()

    def baseline(self, model: int, gate: Gate = GATE, test: Ref = TEST) -> Baseline:
        arguments = {"dataset": "digits", "weights": ref(model), "test": test, "gate": gate, "store": self.store}
        return select_baseline(self.registry, self.manifests, **arguments)

    def publish(
        self,
        model: int,
        baseline: Baseline,
        *,
        passed: bool = True,
        gate: Gate = GATE,
        consent: Callable[[Version], bool] | None = None,
    ) -> Decision:
        made = candidate(ref(model), passed=passed, baseline=baseline, reason="good" if passed else "bad")
        arguments = {"gate": gate, "package": lambda: PACKAGE, "store": self.store, "consent": consent}
        decision = register_and_promote(self.registry, self.manifests, made, **arguments)
        self.manifests.insert(0, manifest(model, baseline, gate, decision.version))
        return decision

    def run(self, model: int, *, passed: bool = True, gate: Gate = GATE) -> Decision:
        return self.publish(model, self.baseline(model, gate), passed=passed, gate=gate)


def ref(model: int) -> Ref:
    return Ref(sha256=f"{model:064x}", kind="weights.h5")


def manifest(model: int, baseline: Baseline, gate: Gate, version: int) -> Manifest:
    """The manifest of a finished run."""
    return Manifest(
        run="run",
        dataset="digits",
        recipe="tutorial",
        seed=0,
        hyperparameters={},
        gate=gate.model_dump(mode="json"),
        registry="fake",
        version=version,
        weights=ref(model),
        test=TEST,
        baseline=baseline.model_dump(mode="json"),
        started=datetime.now(UTC),
    )


@pytest.fixture
def runs(store: Store) -> Runs:
    return Runs(store)


def test_first_model(runs: Runs) -> None:
    """Without a champion, the baseline says so, and a model that passes becomes champion."""
    assert runs.baseline(1) == Baseline(absence="no champion yet")
    assert runs.run(1) == (1, True) and runs.registry.champion_number == 1


def test_champion_is_the_baseline(runs: Runs) -> None:
    """A candidate is held against the champion, with the number of models that the test images have judged."""
    runs.run(1)
    runs.run(2, passed=False)
    baseline = runs.baseline(3)
    assert (baseline.version, baseline.weights, baseline.absence) == (1, ref(1), "")
    assert baseline.hyperparameters is not None and baseline.test_set_uses == 2
    assert runs.publish(3, baseline) == (3, True)
    assert [(c.version, c.replaced, c.reason) for c in runs.registry.changes] == [(1, None, "good"), (3, 1, "good")]


def test_judged_once(runs: Runs) -> None:
    """A model that the same gate judged before keeps its baseline and its decision, without a look at the champion."""
    runs.run(1)
    first = runs.baseline(2)
    runs.publish(2, first)
    runs.run(3)
    lookups = runs.registry.lookups
    assert runs.baseline(2) == first and runs.run(2) == (2, False)
    assert runs.registry.lookups == lookups and runs.registry.champion_number == 3


@pytest.mark.parametrize("change", ["gate", "test images", "registry", "unfinished", "no baseline"])
def test_judged_by_another_run(change: str, runs: Runs) -> None:
    """A run by another gate, on other images, in another registry, or without an end has not judged the model."""
    runs.run(1)
    runs.run(2)
    other = Ref(sha256="cd" * 32, kind="npy", shape=(20, 8, 8), dtype="uint8")
    updates = {
        "gate": {"gate": {}},
        "test images": {"test": other},
        "registry": {"registry": "other"},
        "unfinished": {"version": None},
        "no baseline": {"baseline": {"hyperparameters": {"momentum": 0.9}}},
    }
    runs.manifests = [runs.manifests[0].model_copy(update=updates[change])]
    runs.run(3)
    assert runs.baseline(2).version == 3


def test_champion_keeps_its_baseline(runs: Runs) -> None:
    """The champion is not held against itself: it keeps its baseline, and is not promoted a second time."""
    runs.run(1)
    baseline = runs.baseline(2)
    runs.publish(2, baseline)
    runs.manifests.clear()
    assert runs.baseline(2) == baseline and runs.run(2) == (2, False)
    assert len(runs.registry.changes) == 2


def test_rejected(runs: Runs) -> None:
    """A rejected model is registered, and not promoted by a later run, whatever its gate."""
    runs.run(1)
    assert runs.run(2, passed=False) == (2, False)
    for gate in (GATE, Gate(min_accuracy=0.1)):
        assert runs.run(2, gate=gate) == (2, False) and runs.registry.champion_number == 1


def test_declined(runs: Runs) -> None:
    """A model that a person declined is marked as rejected, and not promoted by a later run, whatever its gate."""
    asked: list[Version] = []

    def decline(version: Version) -> bool:
        asked.append(version)
        return False

    assert runs.publish(1, runs.baseline(1), consent=decline) == (1, False)
    assert [(version.version, version.reason) for version in asked] == [(1, "good")]
    assert not runs.registry.versions[0].passed and "declined" in runs.registry.versions[0].reason
    assert runs.run(1, gate=Gate(min_accuracy=0.1)) == (1, False) and not runs.registry.changes


def test_consent(runs: Runs) -> None:
    """A person is asked about models that passed only, sees the present evidence, and their yes promotes."""
    seen: list[tuple[int, int | None]] = []

    def accept(version: Version) -> bool:
        seen.append((version.version, version.baseline.version))
        return True

    runs.run(1)
    assert runs.publish(2, runs.baseline(2), passed=False, consent=accept) == (2, False) and seen == []
    assert runs.publish(3, runs.baseline(3), consent=accept) == (3, True) and seen == [(3, 1)]


def test_champion_changed(runs: Runs) -> None:
    """A candidate whose baseline was replaced meanwhile is not promoted; the second attempt judges it against the new
    champion."""
    runs.run(1)
    stale = runs.baseline(3)
    runs.run(2)
    with pytest.raises(ChampionChanged):
        runs.publish(3, stale)
    assert runs.registry.champion_number == 2
    second = runs.baseline(3)
    assert (stale.version, second.version) == (1, 2)
    assert runs.publish(3, second) == (3, True) and runs.registry.champion_number == 3


def test_fails_against_the_new_champion(runs: Runs) -> None:
    """A candidate that passed against a former champion and fails against the present one is marked as rejected."""
    runs.run(1)
    stale = runs.baseline(3)
    runs.run(2)
    with pytest.raises(ChampionChanged):
        runs.publish(3, stale)
    assert runs.publish(3, runs.baseline(3), passed=False) == (3, False)
    assert (runs.registry.versions[2].passed, runs.registry.versions[2].reason) == (False, "bad")


def test_weights_of_the_champion_are_gone(runs: Runs) -> None:
    """A champion whose weights are gone is an error, not an absence, unless the gate asks for no comparison."""
    runs.run(1)
    runs.registry.gone.add(ref(1))
    with pytest.raises(ArtifactLost, match='"against_champion": "nothing"'):
        runs.baseline(2)
    gate = Gate(min_accuracy=0.5, against_champion="nothing")
    baseline = runs.baseline(2, gate)
    assert (baseline.version, baseline.weights) == (1, None) and "as the gate asks" in baseline.absence
    assert runs.publish(2, baseline, gate=gate) == (2, True)


def test_unreadable_champion(runs: Runs) -> None:
    """A champion that the registry cannot read is an error, not an absence, whatever the gate asks."""
    runs.run(1)
    runs.registry.error = DigitflowError("unreadable")
    for gate in (GATE, Gate(against_champion="nothing")):
        with pytest.raises(DigitflowError, match="unreadable"):
            runs.baseline(2, gate)


def test_champion_of_another_image_size(runs: Runs) -> None:
    """A champion that takes images of another size is an error that names both sizes."""
    runs.run(1)
    larger = Ref(sha256="ab" * 32, kind="npy", shape=(20, 28, 28), dtype="uint8")
    with pytest.raises(UsageError, match=r"takes images of \(8, 8\), not \(28, 28\)"):
        runs.baseline(2, test=larger)


def test_taken_back(runs: Runs) -> None:
    """A model that was champion once and was replaced becomes champion again only by hand."""
    runs.run(1)
    runs.run(2)
    assert runs.run(1, gate=Gate(min_accuracy=0.1)) == (1, False) and runs.registry.champion_number == 2


def test_killed_before_the_end(runs: Runs) -> None:
    """A model that is registered but was not promoted when its run was killed is promoted by the next run."""
    runs.registry.register(candidate(ref(1), baseline=Baseline(absence="no champion yet")), PACKAGE, runs.store)
    assert runs.run(1) == (1, True)


def test_steps_repeat_until_the_champion_stays() -> None:
    """The steps of a run repeat as long as another run changes the champion, and start over each time."""
    outcomes, restarts = iter([ChampionChanged("changed"), ChampionChanged("changed"), "done"]), []

    def attempt() -> str:
        outcome = next(outcomes)
        if isinstance(outcome, ChampionChanged):
            raise outcome
        return outcome

    assert retry_if_champion_changed(attempt, lambda: restarts.append("start over")) == "done"
    assert len(restarts) == 2


def test_other_errors_end_the_run() -> None:
    """An error other than a changed champion ends the run."""

    def attempt() -> None:
        raise ValueError

    with pytest.raises(ValueError):
        retry_if_champion_changed(attempt, lambda: None)
