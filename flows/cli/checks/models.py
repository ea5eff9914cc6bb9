"""Can every champion be read, and was it confirmed lately?"""

from time import time

from artifacts.errors import hide_passwords
from artifacts.lineage.manifest import manifests
from artifacts.storage.settings import Settings
from flows.cli.checks.check import PATIENCE, Result
from flows.cli.output import format_age
from tasks.monitoring.freshness import Confirmation, last_confirmations
from tasks.registry.mlflow_client import Tracking
from tasks.registry.promotion import ANEW, find_lost
from tasks.registry.registry import Registry
from tasks.registry.versions import UnreadableVersion


def check_registry(settings: Settings) -> Result:
    """Whether MLflow answers, has what runs registered, and every champion can be read and was confirmed lately."""
    tracking = Tracking(settings.home)
    if not tracking.is_local and tracking.uri.startswith("http"):
        import httpx

        try:
            answer = httpx.get(f"{tracking.uri.rstrip('/')}/health", timeout=PATIENCE)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            words = f"{tracking.key} does not answer: {hide_passwords(str(error)) or type(error).__name__}"
            return "problem", words, "start MLflow's server, or correct MLFLOW_TRACKING_URI"
        if not answer.is_success or answer.text.strip() != "OK":
            words = f"{tracking.key} does not answer as MLflow does"
            return "problem", words, "start MLflow's server, or correct MLFLOW_TRACKING_URI"
    elif not tracking.is_local:  # asking could create the database
        return "note", f"{tracking.key} was not opened", ""
    registry = Registry(settings.home)
    versions = registry.versions(None)
    if run := find_lost(registry, manifests(settings.artifacts)):
        words = f"{tracking.key} has lost version {run.version} of {run.dataset}, which the run {run.run} registered"
        return "problem", words, f"{tracking.remedy}, or {ANEW}"
    if not versions:
        return "ok", f"{tracking.key}, no versions yet", ""
    unreadable = [each for each in versions if isinstance(each, UnreadableVersion)]
    lost = [f"version {each.version} of {each.dataset}" for each in unreadable if "champion" in each.aliases]
    if lost:
        return "problem", f"the champion cannot be read: {', '.join(lost)}", "digitflow models rollback, or retire"
    champions = [each for each in versions if not isinstance(each, UnreadableVersion) and "champion" in each.aliases]
    gone = [each for each in champions if not registry.restore(each, settings.artifacts)]
    if gone:
        names = ", ".join(f"version {each.version} of {each.dataset}" for each in gone)
        return "problem", f"the champion's weights are gone: {names}", "digitflow models rollback, or train again"
    if late := _stale(last_confirmations(registry, manifests(settings.artifacts)), settings.stale_days):
        return "note", f"no run confirmed lately: {late}", "retrain; each night: DIGITFLOW_NIGHTLY=true make deploy"
    return "ok", f"{tracking.key}, versions: {len(versions)}", ""


def _stale(confirmations: list[Confirmation], days: int) -> str:
    """The champions that were not confirmed for so many days, in words."""
    ages = {each: time() - each.at.timestamp() for each in confirmations}
    late = [(each, age) for each, age in ages.items() if age > days * 24 * 3600]
    return ", ".join(f"version {each.version} of {each.dataset}, last {format_age(age)} ago" for each, age in late)
