"""What a candidate is held against, and what becomes of it: registered in any case, champion if it passed."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from artifacts.errors import ArtifactLost, UsageError
from artifacts.lineage.manifest import Manifest, Run, manifests
from artifacts.storage.cache_entries import references
from artifacts.storage.settings import Settings
from artifacts.storage.store import Ref
from tasks.evaluation.gate import Baseline
from tasks.registry.registry import WEIGHTS, Registry
from tasks.registry.versions import Candidate, Version

if TYPE_CHECKING:
    from flows.plan import Plan
    from flows.steps import Results

Consent = Callable[[Version], bool]


def select_baseline(plan: "Plan", weights: Ref, test: Ref, settings: Settings) -> Baseline:
    """What to hold a model with these weights against, on these raw test images: the champion, if there is one.

    A model is judged once. One that was registered before, or is champion, keeps its opponent: so a run of which
    nothing changed decides nothing anew, and imports no MLflow. Raises UsageError if the champion's images have
    another size, ArtifactLost if its weights cannot be had: nothing replaces it unjudged.
    """
    if not isinstance(weights, Ref):
        return weights  # foretold: as unknown as they are
    if decided := _decided(plan, weights, test, settings):
        return next(Baseline(**s.call.inputs["opponent"]) for s in decided.steps if s.name == "check-gate")
    registry = Registry(settings.home)
    champion = registry.champion(plan.source.name)
    if champion is None:
        return Baseline(absence="no champion yet", decisions=registry.decisions(test.sha256, weights))
    if (champion.weights, champion.test) == (weights, test.sha256):
        return champion.opponent
    if champion.image_shape != test.shape[1:]:
        raise UsageError(
            f"the champion of {plan.source.name}, version {champion.version}, takes images of {champion.image_shape}, "
            f"not {test.shape[1:]}; give the data set another name"
        )
    held = plan.gate.against_champion != "nothing"
    if held and not registry.restore(champion, settings.artifacts):
        raise ArtifactLost(
            f"the weights of the champion of {plan.source.name}, version {champion.version}, are gone or cannot be "
            'fetched from MLflow; bring them back, or train with a gate that has "against_champion": "nothing"'
        )
    return Baseline(
        version=champion.version,
        weights=champion.weights if held else None,
        hyperparameters=champion.hyperparameters if held else None,
        absence="" if held else "not held against the champion, as the gate asks",
        decisions=registry.decisions(test.sha256, weights),
    )


def register_and_promote(
    plan: "Plan", candidate: Candidate, results: "Results", run: Run, settings: Settings, consent: Consent | None = None
) -> tuple[int, bool]:
    """Register the candidate and, last, make it champion if it passed and whoever is asked consents.

    A model is judged once: one that was rejected, or champion, before becomes champion only by hand.

    Returns its version, and whether it became champion. Raises ChampionChanged if it was held against a model that is
    no longer champion.
    """
    if decided := _decided(plan, candidate.weights, results.validated.data.test.images, settings):
        return int(decided.version or 0), False
    store, registry = run.store, Registry(settings.home)
    version = registry.register(
        candidate,
        store.get_json(results.trained.history),
        store.get(results.images.test)[:1],
        {
            WEIGHTS: store.path(candidate.weights).read_bytes(),
            "report.html": store.path(results.report.html).read_bytes(),
            "manifest.json": run.manifest.model_dump_json(indent=1).encode(),
        },
        store,
    )
    was_promoted = any(
        change.took_effect and change.version == version.version for change in registry.history(candidate.dataset)
    )
    if was_promoted:
        return version.version, False
    if not (candidate.passed and version.passed):
        if version.passed:  # against an earlier champion, which was replaced meanwhile
            registry.refuse(version, candidate.reason)
        return version.version, False
    if consent and not consent(version.model_copy(update={"reason": candidate.reason, "opponent": candidate.opponent})):
        registry.refuse(version, "a person declined it")
        return version.version, False
    registry.promote(version, candidate.reason, candidate.opponent.version, candidate.run)
    return version.version, True


def _decided(plan: "Plan", weights: Ref, test: Ref, settings: Settings) -> Manifest | None:
    """The latest finished run that judged these weights on these raw test images by the same gate."""
    registry, gate = Registry(settings.home), plan.gate.model_dump(mode="json")
    for run in manifests(settings.artifacts):
        is_same = (run.dataset, run.gate) == (plan.source.name, gate) and run.version is not None
        refs = [ref for step in run.steps if step.name in ("download", "train") for ref in references(step.result)]
        if is_same and {weights, test} <= set(refs):
            return run if registry.remembers(run.registry, run.version, weights) else None
    return None
