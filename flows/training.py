"""The flow `training`: from the name of a data set to a model that passed the gate, or a verdict that says why not."""

import time
from typing import Annotated, Any

from prefect import flow
from prefect.states import Completed
from pydantic import Field

from artifacts.storage.settings import Settings
from flows.plan import Plan
from flows.preview import warm_up
from flows.publication import Outcome, publish, recorded_run
from flows.steps import learn, prepare
from tasks.caching import RECORDS
from tasks.evaluation.gate import Gate
from tasks.model.hyperparameters import Overrides
from tasks.model.recipes import Recipe
from tasks.registry.versions import ChampionChanged


@flow(name="training", persist_result=False, result_serializer="json")
def training(
    dataset: str = "mnist",
    recipe: Recipe = "tutorial",
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0,
    hyperparameters: Overrides = Overrides(),  # noqa: B008  # frozen
    gate: Gate = Gate(),  # noqa: B008
) -> Any:
    """Download, validate, train, evaluate, save, check, and promote what passed.

    Returns an `Outcome`; a model that the gate rejects ends the run as Completed, named "Rejected".

    Args:
        dataset: mnist, fashion-mnist, mnist-sample, or the path of a folder with the four IDX files
        recipe: Named set of hyperparameters
        seed: Decides initial weights, order and dropout
        hyperparameters: What replaces the recipe's own
        gate: What the model must reach
    """
    started = time.monotonic()
    settings = Settings.load()
    plan = Plan.of(dataset, recipe, seed, hyperparameters, gate, settings)
    warm_up(plan, settings)
    outcome = train_and_publish(plan, settings, started)
    return outcome if outcome.gate.passed else Completed(name="Rejected", message=outcome.gate.reason, data=outcome)


def train_and_publish(plan: Plan, settings: Settings, started: float) -> Outcome:
    """Train, judge, register and perhaps promote, as one recorded run that began at `started` (monotonic)."""
    with recorded_run(plan, settings) as run:
        while True:
            results = learn(plan, prepare(plan, settings), (), settings)
            try:
                return publish(plan, results, run, settings, started)
            except ChampionChanged:
                run.start_over()


training.result_storage = RECORDS  # a failed run's exception goes there too, as JSON
