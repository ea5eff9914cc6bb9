"""The verb `train`."""

import time
from typing import Annotated

from artifacts.lineage.progress import report_progress
from artifacts.storage.settings import Settings
from flows.cli import output as console
from flows.cli.options import Flag, TrainingOptions
from flows.cli.output import REJECTED
from flows.cli.prefect_server import is_configured
from flows.cli.session import session
from flows.plan import PATIENCE, Plan
from tasks.data.datasets import SAMPLE


def train(
    *,
    request: TrainingOptions | None = None,
    or_sample: Annotated[bool, Flag] = False,
    json: Annotated[bool, Flag] = False,
    verbose: Annotated[bool, Flag] = False,
) -> int:
    """Train, evaluate, check and save a model. Steps whose inputs, code and libraries are the same come from the cache.

    Example: digitflow train --dataset fashion-mnist --epochs 5 --min-accuracy 0.87

    Parameters
    ----------
    or_sample: bool
        If no mirror answers within 8 s, warn and use mnist-sample.
    json: bool
        Print one JSON object on stdout; all else goes to stderr.
    verbose: bool
        Show Prefect's log on stderr.
    """
    started = time.monotonic()
    settings, has_server = Settings.load(), is_configured()
    parameters = (request or TrainingOptions()).parameters()
    plan = Plan.of(**parameters, settings=settings)  # what can be refused is refused before a server starts
    with session(settings, verbose) as ready:
        from flows.preview import warm_up

        if or_sample and not _obtainable(plan, settings):
            console.say(f"no mirror of {plan.source.name} answers; using {SAMPLE} instead, so expect a lower accuracy")
            parameters |= {"dataset": SAMPLE}
            plan = Plan.of(**parameters, settings=settings)
        if not has_server:  # else there is nothing to wait for, and the flow does it meanwhile
            warm_up(plan, settings)
        ready()
        report_progress("start", done=1, total=1)
        from flows.training import training

        outcome = training(**parameters)
    outcome.seconds = round(time.monotonic() - started, 2)
    console.show_outcome(outcome, as_json=json)
    return 0 if outcome.gate.passed else REJECTED


def _obtainable(plan: Plan, settings: Settings) -> bool:
    """Whether the data set is in the cache, needs no mirror, or has one that answers."""
    from flows.preview import explain as foretell
    from tasks.data.download import any_reachable

    if not plan.mirrors.urls or foretell(plan, settings)[0].cache == "hit":
        return True
    return any_reachable(plan.mirrors, PATIENCE)
