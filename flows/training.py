"""The flow `training`: from the name of a data set to a verdict on a model, which is promoted if it passed."""

import time
from typing import Annotated, Any

from prefect import flow, runtime
from prefect.states import Completed
from pydantic import Field

from artifacts.storage.settings import Settings
from flows.plan import Plan
from flows.preview import warm_up
from flows.publication.outcome import Outcome
from flows.publication.publish import publish, stop
from flows.recorded_run import recorded_run
from flows.steps import train_and_judge
from tasks.caching import ending_after, refreshing
from tasks.evaluation.gate import Gate
from tasks.model.hyperparameters import Overrides
from tasks.model.recipes import Recipe
from tasks.prefect_tasks import keep_plain
from tasks.registry.promotion import retry_if_champion_changed


@flow(name="training", persist_result=False, result_serializer="json")
def training(
    dataset: str = "mnist",
    recipe: Recipe = "tutorial",
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0,
    hyperparameters: Overrides = Overrides(),  # noqa: B008  # frozen
    gate: Gate = Gate(),  # noqa: B008
    dataset_name: str = "",
    refresh: tuple[str, ...] = (),
    until: str = "",
) -> Any:
    """Download, validate, train, evaluate, save, check, and promote what passed.

    Returns an `Outcome`. The run ends as Completed, named "Promoted" if the model became champion, or "Rejected" if the
    gate rejected it. With `until`, it returns a `Stopped`, and its name is that.

    Args:
        dataset: mnist, fashion-mnist, mnist-sample, or the path or URL of your own data
        recipe: Named set of hyperparameters
        seed: Decides initial weights, order and dropout
        hyperparameters: What replaces the recipe's own
        gate: What the model must reach
        dataset_name: What people's own data and their models are called; unset, as the folder or file
        refresh: Steps to compute although nothing changed
        until: The step after which the run ends; unset, the last
    """
    started = time.monotonic()
    settings = Settings.load()
    plan = Plan.of(
        dataset,
        recipe,
        seed,
        hyperparameters=hyperparameters,
        gate=gate,
        settings=settings,
        dataset_name=dataset_name,
        refresh=refresh,
        until=until,
    )
    warm_up(plan, settings)
    if until:
        with recorded_run(plan, settings, runtime.flow_run.name) as run:
            with refreshing(plan.refresh), ending_after(until):
                train_and_judge(plan, settings)
            stopped = stop(plan, run, started)
        return Completed(name="Stopped", message=f"ended after {until}, as asked", data=stopped)
    outcome = train_and_publish(plan, settings, started)
    name, message = outcome.ending
    return Completed(name=name, message=message, data=outcome)


def train_and_publish(plan: Plan, settings: Settings, started: float) -> Outcome:
    """Train, judge, register and, if the model passes, promote: one recorded run that began at `started`."""
    with recorded_run(plan, settings, runtime.flow_run.name) as run:

        def attempt() -> Outcome:
            with refreshing(plan.refresh):
                results = train_and_judge(plan, settings)
            return publish(plan, results, run, started=started)

        return retry_if_champion_changed(attempt, run.start_over)


keep_plain(training)
