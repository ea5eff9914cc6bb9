"""The steps of a run, in order."""

from typing import NamedTuple

from artifacts.storage.settings import Settings
from artifacts.storage.store import Ref, Store
from flows.plan import Plan
from tasks.data.datasets import Pair, Split
from tasks.data.download import download
from tasks.data.normalise import normalise_and_reshape
from tasks.data.one_hot import one_hot_encode
from tasks.data.validate import Validated, validate
from tasks.evaluation.check_gate import check_gate
from tasks.evaluation.evaluate import Scored, evaluate, evaluate_champion
from tasks.evaluation.gate import Baseline
from tasks.evaluation.save_weights import Saved, save_weights
from tasks.registry.promotion import select_baseline
from tasks.reporting.report import Reported, report
from tasks.retraining.evaluate_new_holdout import evaluate_new_holdout
from tasks.retraining.merge import merge
from tasks.training.train import Trained, train


class Results(NamedTuple):
    """What the steps of a run came to; foretold, not all of these are what they will be."""

    validated: Validated
    images: Pair
    trained: Trained
    scored: Scored
    saved: Saved
    opponent: Baseline
    verdict: Ref
    report: Reported


def prepare(plan: Plan, settings: Settings) -> Validated:
    """Fetch the data of a plan, and hold them against their contract."""
    store = settings.artifacts
    raw = download(plan.source, plan.mirrors, store)
    return validate(raw, plan.classes, store)


def learn(plan: Plan, checked: Validated, batches: tuple[Split, ...], settings: Settings) -> Results:
    """Train on checked data and accepted batches, and hold the model against the gate."""
    store, hp = settings.artifacts, plan.hyperparameters
    data, held_out = checked.data, None
    if batches:
        merged = merge(checked.data, batches, store)
        data, held_out = merged.data, merged.fresh
    images = normalise_and_reshape(data, store)
    targets = one_hot_encode(data, store)
    trained = train(images.train, targets.train, hp, plan.seed, store)
    scored = evaluate(trained.weights, images.test, targets.test, hp, store)
    test = checked.data.test
    saved = save_weights(trained.weights, test.images, scored.probabilities, hp, store)
    champion = select_baseline(plan, trained.weights, test.images, settings)
    theirs = evaluate_champion(champion.weights, images.test, targets.test, champion.hyperparameters, store)
    fresh = _on_fresh(plan, trained, champion, held_out, targets, store)
    verdict = check_gate(scored, test, saved, champion, theirs, fresh, plan.gate, store)
    page = report(plan.title, hp, checked, trained, scored, theirs, verdict, store)
    return Results(checked, images, trained, scored, saved, champion, verdict, page)


def _on_fresh(
    plan: Plan, trained: Trained, champion: Baseline, fresh: Split | None, targets: Pair, store: Store
) -> Ref | None:
    if fresh is None:
        return None
    hp, classes = plan.hyperparameters, targets.train.shape[1]
    return evaluate_new_holdout(trained.weights, hp, champion.weights, champion.hyperparameters, fresh, classes, store)
