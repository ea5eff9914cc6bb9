"""The rule of promotion: what a candidate is held against, and whether it becomes champion. A model is judged once."""

import contextlib
from collections.abc import Callable, Iterable
from typing import NamedTuple, Protocol, TypeVar, runtime_checkable

from pydantic import ValidationError

from artifacts.errors import ArtifactLost, UsageError
from artifacts.lineage.manifest import Manifest
from artifacts.storage.store import Digest, Ref, Store
from tasks.evaluation.gate import Baseline, Gate
from tasks.registry.registry import Registry
from tasks.registry.versions import Candidate, ChampionChanged, Package, Promotion, Version

Consent = Callable[[Version], bool]
T = TypeVar("T")
ANEW = 'train without the comparison: --gate with a file that has {"against_champion": "nothing"}'
"""What a person can do whose champion is lost."""


class Decision(NamedTuple):
    """The number of the registered version, and whether this run made it champion."""

    version: int
    promoted: bool


@runtime_checkable
class ModelRegistry(Protocol):
    """The part of a `Registry` that the rule needs."""

    def champion(self, dataset: str) -> Version | None: ...
    def contains(self, key: str | None, number: int | None, weights: Ref) -> bool: ...
    def test_set_uses(self, test: Digest, besides: Ref | None = None) -> int: ...
    def restore(self, version: Version, store: Store) -> bool: ...
    def register(self, candidate: Candidate, package: Package, store: Store) -> Version: ...
    def history(self, dataset: str) -> list[Promotion]: ...
    def mark_rejected(self, version: Version, reason: str) -> None: ...
    def promote(self, version: Version, reason: str, expected: int | None, *, run: str | None = None) -> Promotion: ...


def retry_if_champion_changed(attempt: Callable[[], T], start_over: Callable[[], None]) -> T:
    """Run `attempt`. If another run changes the champion meanwhile, start over, against the new champion."""
    while True:
        try:
            return attempt()
        except ChampionChanged:
            start_over()


def find_lost(registry: Registry, manifests: Iterable[Manifest], dataset: str | None = None) -> Manifest | None:
    """The latest run of a data set that passed the gate, if the registry has lost the version that it registered.

    Of one data set, or of any. `manifests` has the latest first. Version numbers only grow, so a version that is gone
    while a later one is there was deleted on purpose.
    """
    found: set[str] = set()
    for run in manifests:
        is_registered = run.status == "passed" and run.version is not None and run.registry == registry.tracking.key
        if not is_registered or run.dataset in found or dataset not in (None, run.dataset):
            continue
        versions = {version.version: version for version in registry.versions(run.dataset)}
        same = versions.get(run.version or 0)
        is_other = isinstance(same, Version) and run.weights not in (None, same.weights)
        if is_other or (run.version or 0) > max(versions, default=0):
            return run
        if run.dataset == dataset:
            return None
        found.add(run.dataset)
    return None


def refuse_lost(registry: Registry, manifests: Iterable[Manifest], dataset: str, gate: Gate) -> None:
    """Raise ArtifactLost if the registry has lost a version that passed: what its champion was is unknown.

    A gate that holds nothing against the champion does not need it.
    """
    if gate.against_champion != "nothing" and (run := find_lost(registry, manifests, dataset)):
        raise ArtifactLost(
            f"the model registry has lost version {run.version} of {dataset}, which the run {run.run} registered; "
            f"{registry.tracking.remedy}, or {ANEW}"
        )


def select_baseline(
    registry: ModelRegistry,
    manifests: Iterable[Manifest],
    *,
    dataset: str,
    weights: Ref,
    test: Ref,
    gate: Gate,
    store: Store,
) -> Baseline:
    """What to hold a model with these weights against, on the raw test images `test`: the champion, if there is one.

    If the same gate has judged these weights before, or they are the champion's, the baseline is that of then. So a
    run in which nothing changed decides nothing and imports no MLflow. `manifests` has the latest first.

    Raises UsageError if the champion takes images of another size, and ArtifactLost if its weights are gone, since a
    model that cannot be held against the champion does not replace it.
    """
    earlier = judged_before(registry, manifests, dataset=dataset, weights=weights, test=test.sha256, gate=gate)
    if earlier and earlier.baseline is not None:
        with contextlib.suppress(ValidationError):  # its hyperparameters are unknown today
            return Baseline.model_validate(earlier.baseline)
    champion = registry.champion(dataset)
    if champion and (champion.weights, champion.test) == (weights, test.sha256):
        return champion.baseline
    uses = registry.test_set_uses(test.sha256, besides=weights)
    if champion is None:
        return Baseline(absence="no champion yet", test_set_uses=uses)
    _require_image_size(champion, test)
    if gate.against_champion == "nothing":
        absence = "not held against the champion, as the gate asks"
        return Baseline(version=champion.version, absence=absence, test_set_uses=uses)
    _require_weights(registry, champion, store)
    return Baseline(
        version=champion.version,
        weights=champion.weights,
        hyperparameters=champion.hyperparameters,
        test_set_uses=uses,
    )


def _require_image_size(champion: Version, test: Ref) -> None:
    if champion.image_shape != test.shape[1:]:
        raise UsageError(
            f"the champion of {champion.dataset}, version {champion.version}, takes images of {champion.image_shape}, "
            f"not {test.shape[1:]}; give the data set another name"
        )


def _require_weights(registry: ModelRegistry, champion: Version, store: Store) -> None:
    if not registry.restore(champion, store):
        raise ArtifactLost(
            f"the weights of the champion of {champion.dataset}, version {champion.version}, are gone or cannot be "
            f"fetched from MLflow; bring them back, or {ANEW}"
        )


def register_and_promote(
    registry: ModelRegistry,
    manifests: Iterable[Manifest],
    candidate: Candidate,
    *,
    gate: Gate,
    package: Callable[[], Package],
    store: Store,
    consent: Consent | None = None,
) -> Decision:
    """Register the candidate and, last, make it champion if it passed the gate and `consent`, if given, agrees.

    A model is judged once: one that was champion, was rejected or was declined becomes champion only by hand. `package`
    is called only for a model that is registered.

    Raises ChampionChanged if the candidate was held against a model that is no longer champion.
    """
    dataset, weights = candidate.dataset, candidate.weights
    if earlier := judged_before(registry, manifests, dataset=dataset, weights=weights, test=candidate.test, gate=gate):
        return Decision(earlier.version or 0, promoted=False)
    version = registry.register(candidate, package(), store)
    if any(change.took_effect and change.version == version.version for change in registry.history(dataset)):
        return Decision(version.version, promoted=False)
    if not (candidate.passed and version.passed):
        if version.passed:  # against an earlier champion
            registry.mark_rejected(version, candidate.reason)
        return Decision(version.version, promoted=False)
    evidence = {"reason": candidate.reason, "baseline": candidate.baseline}
    if consent and not consent(version.model_copy(update=evidence)):
        registry.mark_rejected(version, "a person declined it")
        return Decision(version.version, promoted=False)
    registry.promote(version, candidate.reason, candidate.baseline.version, run=candidate.run)
    return Decision(version.version, promoted=True)


def judged_before(
    registry: ModelRegistry, manifests: Iterable[Manifest], *, dataset: str, weights: Ref, test: Digest, gate: Gate
) -> Manifest | None:
    """The latest finished run that judged these weights on these raw test images by the same gate."""
    asked, unset = gate.model_dump(mode="json"), Gate().model_dump(mode="json")
    for run in manifests:  # a limit that older code did not have was not set
        is_same = (run.dataset, unset | run.gate, run.weights) == (dataset, asked, weights)
        if is_same and run.test is not None and run.test.sha256 == test and run.version is not None:
            return run if registry.contains(run.registry, run.version, weights) else None
    return None
