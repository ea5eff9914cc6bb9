"""The steps of a training run, in order."""

import shlex
from typing import NamedTuple

from artifacts.errors import UsageError
from artifacts.lineage.manifest import manifests
from artifacts.storage.settings import Settings
from artifacts.storage.store import Ref, Store
from flows.plan import Plan
from tasks.data.datasets import Pair, Split, Splits
from tasks.data.download import download
from tasks.data.normalise import normalise_and_reshape
from tasks.data.one_hot import one_hot_encode
from tasks.data.reader.read import read
from tasks.data.validate import Validated, validate
from tasks.evaluation.check_gate import check_gate
from tasks.evaluation.evaluate import Scored, evaluate, evaluate_champion
from tasks.evaluation.gate import Baseline, Verdict
from tasks.evaluation.metrics import Evaluation
from tasks.evaluation.save_weights import Saved, save_weights
from tasks.model.layer_sizes import check_image_size
from tasks.model.recipes import choose
from tasks.registry.promotion import refuse_lost, select_baseline
from tasks.registry.registry import Registry
from tasks.registry.versions import Version
from tasks.reporting.report import Reported, report
from tasks.retraining.evaluate_new_holdout import evaluate_new_holdout
from tasks.retraining.ledger import splits_in_use
from tasks.retraining.merge import select_new_holdout
from tasks.training.train import Trained, train


class Learned(NamedTuple):
    """A trained model, its scores on the test images, and the arrays that it learned from and was scored on."""

    images: Pair
    targets: Pair
    trained: Trained
    scored: Scored
    saved: Saved


class Judged(NamedTuple):
    """What the model was held against, a `Verdict` as JSON, and the report."""

    baseline: Baseline
    verdict: Ref
    report: Reported


class Results(NamedTuple):
    """The results of all steps of a run."""

    validated: Validated
    learned: Learned
    judged: Judged


def read_scores(results: Results, store: Store) -> tuple[Evaluation, Verdict]:
    """The evaluation and the verdict behind the references of a run's results."""
    evaluation = Evaluation.model_validate(store.get_json(results.learned.scored.evaluation))
    return evaluation, Verdict.model_validate(store.get_json(results.judged.verdict))


def train_and_judge(plan: Plan, settings: Settings) -> Results:
    """All steps of a training run."""
    validated = prepare(plan, settings)
    refuse_unsuitable(plan, validated.data, settings)
    learned = train_and_score(plan, validated.data, settings)
    baseline = baseline_of(plan, learned, validated.data.test.images, settings)
    counts = count_on_accepted(plan, learned, baseline, settings)
    judged = judge(plan, validated, learned, baseline=baseline, settings=settings, counts_on_new_images=counts)
    return Results(validated, learned, judged)


def prepare(plan: Plan, settings: Settings) -> Validated:
    """Download the data set of a plan, or read it where it is, and validate it."""
    store = settings.artifacts
    data = read(plan.source, plan.place, store) if plan.place else download(plan.source, plan.mirrors, store)
    return validate(data, plan.classes, store)


def champion_of(plan: Plan, settings: Settings) -> Version | None:
    """The champion of a plan's data set, if there is one. Raises DigitflowError if it cannot be read or is lost."""
    registry, dataset = Registry(settings.home), plan.source.name
    champion = registry.champion(dataset)
    refuse_lost(registry, manifests(settings.artifacts), dataset, plan.gate)
    return champion


def refuse_unsuitable(plan: Plan, data: Splits, settings: Settings) -> None:
    """Raise UsageError for images that are too small for the network, and if the champion has other classes, also by
    their names, or another size, so that no test images suit both models.
    """
    check_image_size(plan.hyperparameters, *data.test.images.shape[1:])
    champion = champion_of(plan, settings)
    if champion is None:
        return
    shape, classes = data.test.images.shape[1:], int(settings.artifacts.get(data.train.labels).max()) + 1
    way_on = f"train it under another name, such as --dataset-name {shlex.quote(f'{plan.source.name}-2')}"
    if (champion.image_shape, champion.classes) == (shape, classes):
        for here, there in zip(data.class_names, champion.class_names, strict=False):  # either may have no names
            if here != there:
                raise UsageError(
                    f"{plan.source.name} has the class {here} where its champion, version {champion.version}, has "
                    f"{there}: the two cannot be compared; {way_on}"
                )
        return
    size, others = (f"{width}×{height}" for height, width in (shape, champion.image_shape))
    raise UsageError(
        f"{plan.source.name} has {classes} classes and images of {size}, but its champion, version {champion.version}, "
        f"was trained on {champion.classes} classes and {others}: the two cannot be compared; {way_on}"
    )


def train_and_score(plan: Plan, data: Splits, settings: Settings) -> Learned:
    """Train on the training images, score on the test images, and try the saved weights in a fresh process."""
    store, hp = settings.artifacts, plan.hyperparameters
    images = normalise_and_reshape(data, store)
    targets = one_hot_encode(data, store)
    trained = train(images.train, targets.train, hp, seed=plan.seed, store=store)
    scored = evaluate(trained.weights, images.test, targets.test, hyperparameters=hp, store=store)
    saved = save_weights(
        trained.weights,
        data.test.images,
        scored.probabilities,
        trained_on=data.train.images,
        hyperparameters=hp,
        store=store,
    )
    return Learned(images, targets, trained, scored=scored, saved=saved)


def baseline_of(plan: Plan, learned: Learned, test: Ref, settings: Settings) -> Baseline:
    """What to hold the model against on the raw test images `test`: the champion, if there is one."""
    return select_baseline(
        Registry(settings.home),
        manifests(settings.artifacts),
        dataset=plan.source.name,
        weights=learned.trained.weights,
        test=test,
        gate=plan.gate,
        store=settings.artifacts,
    )


def count_on_accepted(plan: Plan, learned: Learned, baseline: Baseline, settings: Settings) -> Ref | None:
    """What the model and the baseline get right of the held-out part of the accepted batches, if there is any.

    So a model that did not learn from them is held against a champion that did, on what that learned too.
    """
    batches = splits_in_use(plan.source.name, settings.artifacts, settings.max_file_bytes)
    holdout = select_new_holdout(batches, settings.artifacts) if batches and baseline.weights else None
    return count_on_new_images(plan, learned, baseline, holdout, settings=settings) if holdout else None


def count_on_new_images(
    plan: Plan, learned: Learned, baseline: Baseline, holdout: Split, *, settings: Settings
) -> Ref | None:
    """What the model and the baseline get right of held-out new images, as `PairedCounts` in JSON."""
    return evaluate_new_holdout(
        learned.trained.weights,
        plan.hyperparameters,
        holdout,
        champion=baseline.weights,
        champion_hyperparameters=baseline.hyperparameters,
        classes=learned.targets.train.shape[1],
        store=settings.artifacts,
    )


def judge(
    plan: Plan,
    validated: Validated,
    learned: Learned,
    *,
    baseline: Baseline,
    settings: Settings,
    counts_on_new_images: Ref | None = None,
) -> Judged:
    """Hold the model against the gate and the baseline, and report.

    `counts_on_new_images` are `PairedCounts` of the held-out part of accepted batches, as JSON.
    """
    store, hp = settings.artifacts, plan.hyperparameters
    images, targets, trained, scored, saved = learned
    theirs = evaluate_champion(
        baseline.weights, images.test, targets.test, hyperparameters=baseline.hyperparameters, store=store
    )
    verdict = check_gate(
        scored,
        validated.data.test,
        saved,
        baseline=baseline,
        baseline_probabilities=theirs,
        counts_on_new_images=counts_on_new_images,
        gate=plan.gate,
        class_names=validated.data.class_names,
        store=store,
    )
    page = report(
        plan.title,
        hp,
        validated,
        recipe_hyperparameters=choose(plan.recipe, plan.source.name),
        trained=trained,
        scored=scored,
        baseline_probabilities=theirs,
        verdict=verdict,
        store=store,
    )
    return Judged(baseline, verdict, page)
