"""The verb `experiment`: compare variants of a recipe and judge the best by the gate."""

import time

from artifacts.errors import Rejected
from flows.cli.options import ExperimentOptions, TrainingOptions
from flows.cli.output import show_experiment
from flows.cli.switch import Switch


def experiment(
    *,
    options: ExperimentOptions | None = None,
    training: TrainingOptions | None = None,
    json: Switch = False,
    verbose: Switch = False,
) -> int:
    """Compare variants of a recipe on held-out training images with several seeds, then train and judge the best.

    Example: digitflow experiment --variants "dense layer" dropout --seeds 5

    Parameters
    ----------
    json: bool
        Print one JSON object on stdout, and everything else on stderr.
    verbose: bool
        Show Prefect's log on stderr.
    """
    started = time.monotonic()
    from artifacts.lineage.notices import posting
    from artifacts.lineage.progress import report_progress
    from artifacts.storage.settings import Settings
    from flows.cli.servers import is_server_configured
    from flows.cli.session import session

    settings = Settings.load()
    parameters = (options or ExperimentOptions()).parameters(training or TrainingOptions(), settings)
    with posting(is_server_configured()), session(settings, verbose) as wait_for_server:
        from flows.experiments import experiments

        wait_for_server()
        report_progress("start", done=1, total=1)
        result = experiments(**parameters)
    result.seconds = round(time.monotonic() - started, 2)
    show_experiment(result, as_json=json)
    return Rejected.exit_code if result.outcome and not result.outcome.gate.passed else 0
