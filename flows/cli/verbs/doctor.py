"""The verb `doctor`: check what surrounds the pipeline."""

from flows.cli.output import show_json, show_table
from flows.cli.switch import Switch


def doctor(*, json: Switch = False) -> int:
    """Check in seconds what surrounds the pipeline: packages, disk, network, server, worker, schedules and registry.

    The exit status is 1 if there is a problem. A note needs nothing to be done.

    Parameters
    ----------
    json: bool
        Print one JSON list on stdout.
    """
    from artifacts.storage.settings import Settings
    from flows.cli.checks import check_all

    checks = check_all(Settings.load())
    if json:
        show_json([check._asdict() for check in checks])
    else:
        show_table([("CHECK", "STATE", "FOUND"), *((check.what, check.state, check.found) for check in checks)])
        if remedies := [(check.what, check.remedy) for check in checks if check.remedy]:
            show_table([("", ""), ("CHECK", "WHAT TO DO"), *remedies])
    return int(any(check.state == "problem" for check in checks))
