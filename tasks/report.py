"""Set out for people what a run found."""

from typing import TYPE_CHECKING

from artifacts.datasets import Split
from artifacts.evaluation import Evaluation
from artifacts.gate import Verdict
from artifacts.hyperparameters import Hyperparameters
from artifacts.results import Reported, Scored, Trained, Validated
from artifacts.store import Ref, Store
from tasks.caching import step

if TYPE_CHECKING:
    from artifacts.facts import Mistake


@step("report", shaped_by=("matplotlib", "jinja2"))
def report(
    title: tuple[str, str, int],
    hyperparameters: Hyperparameters,
    validated: Validated,
    trained: Trained,
    scored: Scored,
    verdict: Ref,
    store: Store,
) -> Reported:
    """Compose the report of a run whose data set, recipe and seed are `title`."""
    from artifacts.facts import Facts
    from artifacts.pictures import draw
    from artifacts.report import render_html, render_markdown

    dataset, recipe, seed = title
    facts = Facts(
        dataset=dataset,
        recipe=recipe,
        seed=seed,
        hyperparameters=hyperparameters.model_dump(mode="json"),
        evaluation=Evaluation.model_validate(store.get_json(scored.evaluation)),
        history=store.get_json(trained.history),
        verdict=Verdict.model_validate(store.get_json(verdict)),
        data_report=store.get_json(validated.report),
        lineage={
            "training images": validated.data.train.images.sha256,
            "test images": validated.data.test.images.sha256,
            "weights": trained.weights.sha256,
            "probabilities": scored.probabilities.sha256,
        },
    )
    mistakes = _mistakes(validated.data.test, scored.probabilities, store)
    pictures = draw(facts, mistakes)
    return Reported(
        html=store.put_bytes(render_html(facts, mistakes, pictures).encode(), "html"),
        markdown=store.put_json(render_markdown(facts, mistakes, pictures)),
    )


def _mistakes(test: Split, probabilities: Ref, store: Store) -> "list[Mistake]":
    from artifacts.facts import Mistake, worst_mistakes

    pixels, truth, guesses = store.get(test.images), store.get(test.labels), store.get(probabilities)
    return [
        Mistake(int(i), pixels[i], int(truth[i]), int(guesses[i].argmax()), float(guesses[i].max()))
        for i in worst_mistakes(guesses, truth)
    ]
