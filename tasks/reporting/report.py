"""Report a training run to people: how the model did, and why it passed or was rejected."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from artifacts.storage.arrays import Labels, Probabilities, RawImages
from artifacts.storage.store import Ref, Store
from tasks.caching import step
from tasks.data.validate import Validated
from tasks.evaluation.evaluate import Scored
from tasks.evaluation.gate import Baseline, Verdict
from tasks.evaluation.metrics import Evaluation, calibration_error, measure, reliability_bins
from tasks.model.hyperparameters import Hyperparameters
from tasks.model.schedule import describe_few_steps, learning_rate
from tasks.reporting.figures import draw_figures
from tasks.reporting.model_card import BINS, Champion, ModelCard, changed_sides, class_samples, worst_mistakes
from tasks.reporting.page import report_html, report_markdown
from tasks.training.train import Trained

RATES = 100
"""Parts of a training at whose ends the learning rate is drawn."""


class Reported(BaseModel, frozen=True):
    """The report as one HTML page, and its pieces as Markdown (JSON: key to text) for Prefect's UI."""

    html: Ref
    markdown: Ref


@step("report", shaped_by=("jinja2", "pillow"))
def report(
    title: tuple[str, str, int],
    hyperparameters: Hyperparameters,
    validated: Validated,
    *,
    recipe_hyperparameters: Hyperparameters,
    trained: Trained,
    scored: Scored,
    baseline_probabilities: Ref | None,
    verdict: Ref,
    store: Store,
) -> Reported:
    """Compose the report of a run. `title` is its data set, recipe and seed.

    `recipe_hyperparameters` are the recipe's own for the data set. `baseline_probabilities` (n, classes) are the
    champion's for the test images, if there is one. How fast the model is differs by run, so it is not an input.
    """
    dataset, recipe, seed = title
    train, test = validated.data.train, validated.data.test
    images, labels, probabilities = store.get(test.images), store.get(test.labels), store.get(scored.probabilities)
    theirs = store.get(baseline_probabilities) if baseline_probabilities else None
    weights, judged = store.path(trained.weights), Verdict.model_validate(store.get_json(verdict))
    champion = None
    if theirs is not None:
        champion = _champion(theirs, images, labels, ours=probabilities, baseline=judged.baseline)
    card = ModelCard(
        dataset=dataset,
        recipe=recipe,
        seed=seed,
        hyperparameters=_plain(hyperparameters),
        recipe_hyperparameters=_plain(recipe_hyperparameters),
        evaluation=Evaluation.model_validate(store.get_json(scored.evaluation)),
        champion=champion,
        reliability=reliability_bins(probabilities, labels, BINS),
        calibration_error=calibration_error(probabilities, labels),
        history=store.get_json(trained.history),
        learning_rates=[learning_rate(hyperparameters, i / RATES) for i in range(RATES + 1)],
        verdict=judged,
        parameters=count_parameters(weights),
        weights_bytes=weights.stat().st_size,
        data_report=store.get_json(validated.report),
        lineage=_lineage(validated, trained, scored),
        mistakes=worst_mistakes(images, labels, probabilities, theirs),
        samples=class_samples(store.get(train.images), store.get(train.labels)),
        class_names=validated.data.class_names,
        few_steps="" if judged.passed else describe_few_steps(hyperparameters, train.images.shape[0]),
    )
    figures = draw_figures(card)
    html = store.put_bytes(report_html(card, figures).encode(), "html")
    return Reported(html=html, markdown=store.put_json(report_markdown(card, figures)))


def _champion(
    theirs: Probabilities, images: RawImages, labels: Labels, *, ours: Probabilities, baseline: Baseline
) -> Champion:
    """The champion by its probabilities, and which images the model with the probabilities `ours` reads otherwise."""
    return Champion(
        evaluation=measure(theirs, labels),
        calibration_error=calibration_error(theirs, labels),
        hyperparameters=_plain(baseline.hyperparameters),
        changes=changed_sides(images, labels, ours, theirs),
    )


def count_parameters(weights: Path) -> int:
    """The number of parameters in a `.weights.h5` file."""
    import h5py

    sizes: list[int] = []

    def note(_: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            sizes.append(math.prod(item.shape))

    with h5py.File(weights) as file:
        file.visititems(note)
    return sum(sizes)


def _plain(hyperparameters: Hyperparameters | None) -> Mapping[str, object]:
    return hyperparameters.model_dump(mode="json") if hyperparameters else {}


def _lineage(validated: Validated, trained: Trained, scored: Scored) -> dict[str, str]:
    """The digests of the artifacts that the report is about, by a label for people."""
    return {
        "training images": validated.data.train.images.sha256,
        "test images": validated.data.test.images.sha256,
        "weights": trained.weights.sha256,
        "probabilities": scored.probabilities.sha256,
    }
