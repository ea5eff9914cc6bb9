"""Report a training run to people: how the model did, and why it passed or was rejected."""

from pydantic import BaseModel

from artifacts.storage.store import Ref, Store
from tasks.caching import step
from tasks.data.validate import Validated
from tasks.evaluation.evaluate import Scored
from tasks.evaluation.gate import Verdict
from tasks.evaluation.metrics import Evaluation, measure, reliability_bins
from tasks.model.hyperparameters import Hyperparameters
from tasks.reporting.figures import draw_figures
from tasks.reporting.model_card import Mistake, ModelCard, worst_mistakes
from tasks.reporting.page import report_html, report_markdown
from tasks.training.train import Trained


class Reported(BaseModel, frozen=True):
    """The report as one HTML page, and its pieces as Markdown (JSON: key to text) for Prefect's UI."""

    html: Ref
    markdown: Ref


@step("report", shaped_by=("matplotlib", "jinja2"))
def report(
    title: tuple[str, str, int],
    hyperparameters: Hyperparameters,
    validated: Validated,
    *,
    trained: Trained,
    scored: Scored,
    baseline_probabilities: Ref | None,
    verdict: Ref,
    store: Store,
) -> Reported:
    """Compose the report of a run. `title` is its data set, recipe and seed.

    `baseline_probabilities` (n, classes) are the champion's for the test images, if there is one.
    """
    dataset, recipe, seed = title
    test = validated.data.test
    images, labels, probabilities = store.get(test.images), store.get(test.labels), store.get(scored.probabilities)
    baseline = store.get(baseline_probabilities) if baseline_probabilities else None
    names, lost = validated.data.class_names, list[Mistake]()
    if baseline is not None:
        right = baseline.argmax(axis=1) == labels
        lost = worst_mistakes(images, labels, probabilities, among=right, class_names=names)
    card = ModelCard(
        dataset=dataset,
        recipe=recipe,
        seed=seed,
        hyperparameters=hyperparameters.model_dump(mode="json"),
        evaluation=Evaluation.model_validate(store.get_json(scored.evaluation)),
        champion=None if baseline is None else measure(baseline, labels),
        reliability=reliability_bins(probabilities, labels),
        history=store.get_json(trained.history),
        verdict=Verdict.model_validate(store.get_json(verdict)),
        data_report=store.get_json(validated.report),
        lineage=_lineage(validated, trained, scored),
        mistakes=worst_mistakes(images, labels, probabilities, class_names=names),
        lost=lost,
        class_names=names,
    )
    figures = draw_figures(card)
    html = store.put_bytes(report_html(card, figures).encode(), "html")
    return Reported(html=html, markdown=store.put_json(report_markdown(card, figures)))


def _lineage(validated: Validated, trained: Trained, scored: Scored) -> dict[str, str]:
    """The digests of the artifacts that the report is about, by a label for people."""
    return {
        "training images": validated.data.train.images.sha256,
        "test images": validated.data.test.images.sha256,
        "weights": trained.weights.sha256,
        "probabilities": scored.probabilities.sha256,
    }
