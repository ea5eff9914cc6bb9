"""A registered model in use: images in, probabilities out, by the code that trained and judged it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel

from artifacts.errors import ArtifactLost, BadSource, UsageError
from artifacts.storage.arrays import Probabilities
from artifacts.storage.settings import Settings
from artifacts.storage.store import Store
from tasks.data.images import GreyImage, rescale
from tasks.model.forward import BATCH, load, probabilities
from tasks.prediction.preprocessing import fit
from tasks.prediction.sources import LoadedImage
from tasks.registry.registry import CHAMPION, Registry
from tasks.registry.versions import Candidate, Version

if TYPE_CHECKING:
    from tasks.model.keras_setup import keras
from artifacts.errors import DigitflowError

_one_at_a_time = Lock()


class Prediction(BaseModel, frozen=True):
    """What a model reads in one image, with its two likeliest classes, or the `error` that kept it from reading.

    `changes` says what was done to the image before.
    """

    image: str
    label: int | None = None
    probability: float | None = None
    runner_up: int | None = None
    runner_up_probability: float | None = None
    changes: tuple[str, ...] = ()
    error: str | None = None


@dataclass(frozen=True)
class Classifier:
    """A registered model and its network in memory. Safe to use from several threads."""

    model: Candidate
    network: "keras.Model"

    @classmethod
    def load(cls, model: int | str = CHAMPION, dataset: str | None = None) -> "Classifier":
        """The champion, or the version with that number; `dataset` is needed if several data sets have one.

        The weights are verified by their digest. Raises UsageError if there is no such model, ArtifactLost if its
        weights are gone, here and in MLflow.
        """
        settings = Settings.load()
        if model != CHAMPION and not str(model).isdecimal():
            raise UsageError(f"{model!r} is no model; give {CHAMPION!r} or the number of a version")
        number = None if model == CHAMPION else int(model)
        return cls.of(at_hand(Registry(settings.home).find(number, dataset), settings), settings.artifacts)

    @classmethod
    def of(cls, model: Candidate, store: Store) -> "Classifier":
        """The network of a model whose weights are in the store. Raises ArtifactLost."""
        shape = (*model.image_shape, 1)
        return cls(model, load(model.weights, shape, model.classes, model.hyperparameters, store))

    def predict(self, images: np.ndarray) -> Probabilities:
        """Probabilities (n, classes) float32 of images (n, height, width) uint8, light on dark, as MNIST's are.

        Raises UsageError if the images have another type or size.
        """
        if images.dtype != np.uint8 or images.shape[1:] != self.model.image_shape:
            raise UsageError(
                f"the model takes uint8 images (n, {', '.join(map(str, self.model.image_shape))}), "
                f"not {images.dtype} {images.shape}"
            )
        if not len(images):
            return np.empty((0, self.model.classes), np.float32)
        with _one_at_a_time:
            return probabilities(self.network, rescale(images))

    def read(self, seen: Iterable[LoadedImage]) -> Iterator[Prediction]:
        """What the model reads in images of any size, in their order, a batch at a time."""
        rest = iter(seen)
        while batch := [_fitted(item, self.model.image_shape) for item in islice(rest, BATCH)]:
            pixels = [item.image.pixels for item in batch if item.image]
            found = iter(self.predict(np.stack(pixels)) if pixels else ())
            for name, image, error in batch:
                yield told(name, image, next(found)) if image else Prediction(image=name, error=error)


def at_hand(version: Version, settings: Settings) -> Version:
    """The version, whose weights are in the store now, if need be from MLflow's copy. Raises ArtifactLost."""
    store = settings.artifacts
    if store.holds(version.weights) or Registry(settings.home).restore(version, store):
        return version
    raise ArtifactLost(
        f"the weights of version {version.version} are gone, here and in MLflow; choose another version with --model"
    )


def told(name: str, image: GreyImage, row: np.ndarray) -> Prediction:
    """A row of probabilities in words and numbers."""
    second, first = np.argsort(row, kind="stable")[-2:].tolist()
    return Prediction(
        image=name,
        label=first,
        probability=float(row[first]),
        runner_up=second,
        runner_up_probability=float(row[second]),
        changes=image.changes,
    )


def _fitted(seen: LoadedImage, shape: tuple[int, ...]) -> LoadedImage:
    if seen.image is None:
        return seen
    try:
        return LoadedImage(seen.name, fit(seen.image, shape))
    except BadSource as error:
        return LoadedImage(seen.name, None, str(error))


class ChampionFollower:
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
