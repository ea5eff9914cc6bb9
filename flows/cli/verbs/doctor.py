"""The verb `doctor`: check what surrounds the pipeline."""

from flows.cli.output import show_json, show_table
from flows.cli.switch import Switch


def doctor(*, json: Switch = False) -> int:
    """Check in seconds what surrounds the pipeline: packages, disk, network, server, worker, schedules and registry.

    The exit status is 1 if there is a problem. With a note, runs work all the same.

    Parameters
    ----------
    json: bool
        Print one JSON list on stdout.
    """
    from artifacts.storage.settings import Settings
    from flows.cli.checks.all_checks import check_all

    found = check_all(Settings.load())
    if json:
        show_json([check._asdict() for check in found])
    else:
        show_table([("CHECK", "STATE", "FOUND"), *((check.what, check.state, check.found) for check in found)])
        if remedies := [(check.what, check.remedy) for check in found if check.remedy]:
            show_table([("", ""), ("CHECK", "WHAT TO DO"), *remedies])
    return int(any(check.state == "problem" for check in found))
