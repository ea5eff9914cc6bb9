"""The verb `explain-cache`."""

from typing import Annotated

from artifacts.storage.settings import Settings
from flows.cli import output as console
from flows.cli.options import Flag, TrainingOptions
from flows.plan import Plan


def explain_cache(*, request: TrainingOptions | None = None, json: Annotated[bool, Flag] = False) -> int:
    """Say for each step whether `train` with the same options would take it from the cache, and if not, what changed.

    Parameters
    ----------
    json: bool
        Print one JSON list on stdout.
    """
    settings = Settings.load()
    plan = Plan.of(**(request or TrainingOptions()).parameters(), settings=settings)
    from flows.preview import explain as foretell

    findings = foretell(plan, settings)
    if json:
        console.show_json([finding.model_dump(mode="json") for finding in findings])
    else:
        rows = [(finding.name, finding.cache, "; ".join(finding.reasons)) for finding in findings]
        console.show_table([("STEP", "CACHE", "WHY"), *rows])
    return 0
