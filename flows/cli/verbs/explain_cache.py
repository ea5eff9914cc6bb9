"""The verb `explain-cache`: preview which steps of a training run the cache answers."""

from flows.cli.options import TrainingOptions
from flows.cli.output import show_json, show_table
from flows.cli.switch import Switch

REASONS = 5
"""Changes that the table names for each step."""


def explain_cache(*, options: TrainingOptions | None = None, json: Switch = False) -> int:
    """Show for each step whether `train` with the same options takes it from the cache, and if not, what changed.

    Parameters
    ----------
    json: bool
        Print one JSON list on stdout.
    """
    from artifacts.storage.settings import Settings
    from flows.cli.prefect_server import is_cache_refreshed
    from flows.plan import Plan

    settings = Settings.load()
    plan = Plan.of(**(options or TrainingOptions()).parameters(), settings=settings)
    from flows.preview import preview

    findings = preview(plan, settings, is_cache_refreshed())
    if json:
        show_json([finding.model_dump(mode="json") for finding in findings])
    else:
        rows = [(finding.name, finding.cache, _first(finding.reasons)) for finding in findings]
        show_table([("STEP", "CACHE", "WHY"), *rows])
    return 0


def _first(reasons: list[str]) -> str:
    more = f"; and {len(reasons) - REASONS} more, see --json" if len(reasons) > REASONS else ""
    return "; ".join(reasons[:REASONS]) + more
