"""What can be done before the steps that wait for it: imports, a process that stands by, a registry that opens."""

from artifacts.rehearsal import stand_by
from artifacts.settings import Settings
from artifacts.tracking import Tracking
from flows.explain import explain
from flows.plan import Plan

_done: set[Plan] = set()


def get_ahead(plan: Plan, settings: Settings) -> None:
    """Start what the steps of a plan that are not in the cache will need, once a plan."""
    if plan in _done:
        return
    _done.add(plan)
    missing = {finding.name for finding in explain(plan, settings) if finding.cache != "hit"}
    if missing & {"train", "evaluate", "evaluate-champion"}:
        import artifacts.backend  # noqa: F401
    if "save-weights" in missing:
        stand_by(settings.artifacts)  # not before: a server that is starting needs the other core
    if "check-gate" in missing:
        Tracking(settings.home).open()
