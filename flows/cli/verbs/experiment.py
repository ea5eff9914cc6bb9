"""The verb `experiment`."""

import time
from typing import Annotated

from artifacts.lineage.progress import report_progress
from artifacts.storage.settings import Settings
from flows.cli import output as console
from flows.cli.options import ExperimentOptions, Flag, TrainingOptions
from flows.cli.output import REJECTED
from flows.cli.session import session


def experiment(
    *,
    trying: ExperimentOptions | None = None,
    request: TrainingOptions | None = None,
    json: Annotated[bool, Flag] = False,
    verbose: Annotated[bool, Flag] = False,
) -> int:
    """Compare variants of a recipe on held-out training images, with several seeds, and train and judge the best.

    Example: digitflow experiment --variants "dense layer" dropout --seeds 5

    Parameters
    ----------
    json: bool
        Print one JSON object on stdout; all else goes to stderr.
    verbose: bool
        Show Prefect's log on stderr.
    """
    started = time.monotonic()
    settings = Settings.load()
    parameters = (trying or ExperimentOptions()).parameters(request or TrainingOptions(), settings)
    with session(settings, verbose) as ready:
        from flows.experiments import experiments

        ready()
        report_progress("start", done=1, total=1)
        found = experiments(**parameters)
    found.seconds = round(time.monotonic() - started, 2)
    console.show_experiment(found, as_json=json)
    return REJECTED if found.outcome and not found.outcome.gate.passed else 0
