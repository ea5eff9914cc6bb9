"""When was a champion last confirmed? When it became champion, or by a run since that came to no other."""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from artifacts.lineage.manifest import Manifest
from tasks.registry.registry import Registry
from tasks.registry.versions import CHAMPION


class Confirmation(NamedTuple):
    """When (UTC) the champion of a data set was last confirmed."""

    dataset: str
    version: int
    at: datetime


def confirms(run: Manifest, champion: int | None) -> bool:
    """Whether a run that was judged trained the champion's very model, or held another against it."""
    if champion is None or run.status not in ("passed", "rejected"):
        return False
    held_against = run.baseline or {}
    return champion == run.version or (bool(held_against.get("weights")) and champion == held_against.get("version"))


def last_confirmations(registry: Registry, runs: Iterable[Manifest]) -> list[Confirmation]:
    """The last confirmation of each champion, by the history of the registry and the runs of this home."""
    champions = [version for version in registry.versions() if CHAMPION in version.aliases]
    judged = [run for run in runs if run.registry == registry.tracking.key and run.ended]
    found = []
    for version in champions:
        number, dataset = version.version, version.dataset
        times = [run.ended for run in judged if run.ended and run.dataset == dataset and confirms(run, number)]
        times.append(registry.in_use_since(dataset) or version.created)
        found.append(Confirmation(dataset, number, max(times)))
    return found
