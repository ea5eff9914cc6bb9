"""Which model serves requests now? The champion, which may change while a server runs."""

import numpy as np

from artifacts.errors import DigitflowError
from artifacts.storage.settings import Settings
from tasks.prediction.classifier import Classifier, ensure_weights
from tasks.registry.registry import Registry
from tasks.registry.versions import Version


class ChampionFollower:
    """Keeps the champion's classifier in memory, or, with `number`, that of one version for good.

    `refresh` replaces `current`, the version and its classifier, as one: read it once for each request. If the registry
    cannot be read, the model stays in use and `trouble` says why.
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
        """Load the champion if it is another version."""
        try:
            version, self.trouble = self._find(), ""
            if version.version != self.current[0].version:
                self.current = self._load(version)
        except DigitflowError as error:
            self.trouble = str(error)

    def _find(self) -> Version:
        return self._registry.find(self._number, self._dataset)

    def _load(self, version: Version) -> tuple[Version, Classifier]:
        classifier = Classifier.of(ensure_weights(version, self._settings), self._settings.artifacts)
        classifier.predict(np.zeros((1, *version.image_shape), np.uint8))  # the first call builds the graph
        return version, classifier
