"""Set out for people what a run found and how it was decided."""

from pydantic import BaseModel

from artifacts.storage.store import Ref, Store
from tasks.caching import step
from tasks.data.validate import Validated
from tasks.evaluation.evaluate import Scored
from tasks.evaluation.gate import Verdict
from tasks.evaluation.metrics import Evaluation, measure, reliability
from tasks.model.hyperparameters import Hyperparameters
from tasks.training.train import Trained


class Reported(BaseModel, frozen=True):
    """The report as one HTML page, and its parts as Markdown (JSON: key to text) for Prefect's UI."""

    html: Ref
    markdown: Ref


@step("report", shaped_by=("matplotlib", "jinja2"))
def report(
    title: tuple[str, str, int],
    hyperparameters: Hyperparameters,
    validated: Validated,
    trained: Trained,
    scored: Scored,
    theirs: Ref | None,
    verdict: Ref,
    store: Store,
) -> Reported:
    """Compose the decision card of a run whose data set, recipe and seed are `title`; `theirs` are the probabilities
    that the champion gave the test images.
    """
    from tasks.reporting.figures import draw
    from tasks.reporting.model_card import ModelCard, mistakes
    from tasks.reporting.page import render_html, render_markdown

    dataset, recipe, seed = title
    test = validated.data.test
    images, labels, guesses = store.get(test.images), store.get(test.labels), store.get(scored.probabilities)
    others = store.get(theirs) if theirs else None
    facts = ModelCard(
        dataset=dataset,
        recipe=recipe,
        seed=seed,
        hyperparameters=hyperparameters.model_dump(mode="json"),
        evaluation=Evaluation.model_validate(store.get_json(scored.evaluation)),
        champion=None if others is None else measure(others, labels),
        reliability=reliability(guesses, labels),
        history=store.get_json(trained.history),
        verdict=Verdict.model_validate(store.get_json(verdict)),
        data_report=store.get_json(validated.report),
        lineage={
            "training images": validated.data.train.images.sha256,
            "test images": test.images.sha256,
            "weights": trained.weights.sha256,
            "probabilities": scored.probabilities.sha256,
        },
        mistakes=mistakes(images, labels, guesses),
        lost=[] if others is None else mistakes(images, labels, guesses, others.argmax(axis=1) == labels),
    )
    figures = draw(facts)
    return Reported(
        html=store.put_bytes(render_html(facts, figures).encode(), "html"),
        markdown=store.put_json(render_markdown(facts, figures)),
    )
