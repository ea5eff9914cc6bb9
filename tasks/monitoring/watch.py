"""Count what models read, off the path of whoever asks, and tell of drift."""

import contextlib
import logging
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np

from artifacts.errors import DigitflowError
from artifacts.storage.arrays import Labels, Measurements
from artifacts.storage.settings import Settings
from artifacts.storage.store import Digest
from tasks.data.images import Grey
from tasks.monitoring.compared_days import ComparedDay, compare_day
from tasks.monitoring.drift import PREDICTED, measure
from tasks.monitoring.record import Read, add_to_today, claim, list_days
from tasks.monitoring.reference import KeptReference, reference_of
from tasks.registry.registry import Registry
from tasks.registry.versions import Version

WAITING = 1024
"""Images that wait to be counted at most. Of more, the oldest are not counted."""
_logger = logging.getLogger(__name__)


class Watch:
    """Counts the images that models read, as the models saw them: uint8, brought to how the training images lie.

    `see` is for the thread that answers a request: it only notes the image. `count` is for another thread: it counts
    what was noted, and calls `tell` with the day if it drifted, once for each day and version. What cannot be counted
    or compared is said in a warning, because it is no error of a prediction.
    """

    def __init__(self, settings: Settings, tell: Callable[[ComparedDay], None]):
        self._settings, self._registry, self._tell = settings, Registry(settings.home), tell
        self._seen: deque[_Seen] = deque(maxlen=WAITING)
        self._references: dict[tuple[str, int], KeptReference | None] = {}

    def see(self, version: Version, image: Grey, label: int) -> None:
        """Note an image (height, width) and the class that was read in it."""
        self._seen.append(_Seen(version, image, label))

    def count(self) -> None:
        """Count what was noted."""
        by_version: dict[tuple[str, int], list[_Seen]] = {}
        for _ in range(len(self._seen)):
            seen = self._seen.popleft()
            by_version.setdefault((seen.version.dataset, seen.version.version), []).append(seen)
        for images in by_version.values():
            measured = measure(np.stack([seen.image for seen in images]))
            self.add(images[0].version, measured, np.array([seen.label for seen in images], np.uint8))

    def add(self, version: Version, measured: Measurements, classes: Labels, batch: Digest | None = None) -> None:
        """Count images by their measurements and the classes that were read in them.

        A `batch` with that digest is counted once for a version, whenever it is read.
        """
        reference = self._reference(version)
        if reference is None or not len(measured):
            return
        try:
            counts = reference.counts.count(measured, classes, PREDICTED)
            day = add_to_today(self._settings.home, self._read(version, reference), counts, batch)
            compared = day and compare_day(day, reference.counts)
            if day and compared and compared.is_drift and claim(self._settings.home, day):
                self._tell(compared)
        except DigitflowError as error:
            _logger.warning("predicted images were not counted: %s", error)

    def today(self, version: Version) -> ComparedDay | None:
        """What a version read today; None if that is nothing, or not known."""
        with contextlib.suppress(DigitflowError):  # whoever counts says it
            for day in list_days(self._settings.home, datetime.now(UTC).date()):
                reference = self._reference(version)
                if reference and day.read == self._read(version, reference):
                    return compare_day(day, reference.counts)
        return None

    def _reference(self, version: Version) -> KeptReference | None:
        key = version.dataset, version.version
        if key not in self._references:
            self._references[key] = None
            try:
                self._references[key] = reference_of(version, self._registry, self._settings.artifacts)
            except DigitflowError as error:
                _logger.warning("predicted images are not compared with the training images: %s", error)
        return self._references[key]

    @staticmethod
    def _read(version: Version, reference: KeptReference) -> Read:
        return Read(version.dataset, version.version, reference.digest)


class _Seen(NamedTuple):
    version: Version
    image: Grey
    label: int
