"""The model that a server uses: the champion, whichever that is now, or one version for good."""

from artifacts.classifier import Classifier, at_hand
from artifacts.errors import DigitflowError
from artifacts.registry import Registry, Version
from artifacts.settings import Settings


class Following:
    """`classifier` and `version` are replaced together by `refresh`, so take them once for each request, as `current`.

    `trouble` says why the registry could not be followed, while the last model stays in use.
    """

    def __init__(self, settings: Settings, dataset: str | None, number: int | None):
        self._settings, self._registry, self._number = settings, Registry(settings.home), number
        self._dataset = dataset
        self.current = self._load(self._find())
        self._dataset = self.current[0].dataset
        self.trouble = ""

    @property
    def interval(self) -> float:
        """Seconds between two looks at the registry: a local one answers in a millisecond."""
        return 1 if self._registry.tracking.is_local else 10

    def refresh(self) -> None:
        """Follow the champion."""
        try:
            version, self.trouble = self._find(), ""
            if version.version != self.current[0].version:
                self.current = self._load(version)
        except DigitflowError as error:
            self.trouble = str(error)

    def _find(self) -> Version:
        return self._registry.find(self._number, self._dataset)

    def _load(self, version: Version) -> tuple[Version, Classifier]:
        import numpy as np

        classifier = Classifier.of(at_hand(version, self._settings), self._settings.artifacts)
        classifier.predict(np.zeros((1, *version.image_shape), np.uint8))  # the first call builds the graph
        return version, classifier
