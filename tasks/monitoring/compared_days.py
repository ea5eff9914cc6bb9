"""On which days did the images that a version read differ from those that it learned from?"""

from datetime import date
from functools import cache

from pydantic import BaseModel

from artifacts.storage.store import Store
from tasks.monitoring.drift import CHANCE, Drift, Reference
from tasks.monitoring.record import Day, list_days
from tasks.monitoring.reference import kept_reference

LOOKS = 50
"""How much rarer drift by chance must be at one look at a growing day, so that all looks together find it seldom."""


class ComparedDay(BaseModel, frozen=True):
    """How many images a version read on a day (of UTC), and the drift of each statistic; none if nothing is left to
    compare them with.
    """

    day: date
    dataset: str
    version: int
    images: int
    drift: tuple[Drift, ...]

    @property
    def worst(self) -> Drift | None:
        """The statistic that is furthest above its threshold, or nearest below it."""
        return max(self.drift, key=lambda one: one.index / one.threshold, default=None)

    @property
    def is_drift(self) -> bool:
        return any(one.is_drift for one in self.drift)


def compare_day(day: Day, reference: Reference | None) -> ComparedDay:
    """Hold a day against a reference. Looking at it while it grows finds drift by chance on one day in a thousand."""
    drift = reference.compare(day.counts, CHANCE / (LOOKS * len(day.counts))) if reference else ()
    return ComparedDay(day=day.day, dataset=day.read.dataset, version=day.read.version, images=day.images, drift=drift)


def compare_days(store: Store, since: date) -> list[ComparedDay]:
    """Every day from `since` on and every version that read something, the latest day first."""
    reference = cache(lambda digest: kept_reference(digest, store))
    return [compare_day(day, reference(day.read.reference)) for day in list_days(store.home, since)]
