"""How does a registered model classify images? By the code that trained and judged it, with verified weights."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from pydantic import BaseModel

from artifacts.errors import ArtifactLost, BadSource, UsageError
from artifacts.storage.arrays import Probabilities, RawImages
from artifacts.storage.settings import Settings
from artifacts.storage.store import Store
from tasks.data.images import GreyImage, rescale
from tasks.model.forward import BATCH, load_network, predict_probabilities
from tasks.pictures.model_input import keep_trained, to_model_input, to_model_inputs
from tasks.prediction.sources import LoadedImage
from tasks.registry.registry import Registry
from tasks.registry.versions import CHAMPION, Candidate, Version

if TYPE_CHECKING:
    from tasks.model.keras_setup import keras

_network_lock = Lock()


class Prediction(BaseModel, frozen=True):
    """The two likeliest classes of one image, or the `error` that kept it from being read.

    `shape` counts the shapes of one picture from 1, if each is read on its own. `unsure` says whether `probability` is
    below the one that was asked for, if one was. `changes` lists what preprocessing did to the image.
    """

    image: str
    shape: int | None = None
    label: int | None = None
    name: str | None = None
    probability: float | None = None
    runner_up: int | None = None
    runner_up_name: str | None = None
    runner_up_probability: float | None = None
    unsure: bool | None = None
    changes: tuple[str, ...] = ()
    error: str | None = None

    def judged(self, unsure_below: float | None) -> "Prediction":
        """The prediction, which says whether it is unsure if a probability is given."""
        if unsure_below is None or self.probability is None:
            return self
        return self.model_copy(update={"unsure": self.probability < unsure_below})


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
        version = Registry(settings.home).find(number, dataset)
        return cls.of(ensure_weights(version, settings), settings.artifacts)

    @classmethod
    def of(cls, model: Candidate, store: Store) -> "Classifier":
        """A classifier for a model whose weights are in the store. Raises ArtifactLost."""
        shape, hyperparameters = (*model.image_shape, 1), model.hyperparameters
        return cls(
            model, load_network(model.weights, shape, model.classes, hyperparameters=hyperparameters, store=store)
        )

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
        with _network_lock:
            return predict_probabilities(self.network, rescale(images))

    def classify(self, images: Iterable[LoadedImage], *, several: bool = False) -> Iterator[Prediction]:
        """Predictions for images of any size, in their order. BATCH images at a time are in memory.

        `several`: each separate shape of a picture has a prediction; else several are an error.
        """
        for predictions, _ in self.classify_batches(images, several=several):
            yield from predictions

    def classify_batches(
        self, images: Iterable[LoadedImage], *, several: bool = False
    ) -> Iterator[tuple[list[Prediction], RawImages]]:
        """As `classify`, the predictions of BATCH images at a time, each with the images as the network saw them.

        These are uint8 (n, height, width), one for each prediction that has no error.
        """
        remaining = iter(images)
        while inputs := self._to_inputs(islice(remaining, BATCH), several):
            pixels = [item.image.pixels for item in inputs if item.image]
            seen = np.stack(pixels) if pixels else np.empty((0, *self.model.image_shape), np.uint8)
            rows = iter(self.predict(seen))
            yield [self._as_prediction(item, rows) for item in inputs], seen

    def _as_prediction(self, item: "_Input", rows: Iterator[np.ndarray]) -> Prediction:
        if item.image is None:
            return Prediction(image=item.name, error=item.error)
        return as_prediction(item.name, item.image, next(rows), item.shape, self.model.class_names)

    def _to_inputs(self, images: Iterable[LoadedImage], several: bool) -> list["_Input"]:
        """The images as the model takes them. Those of its size are looked at together; larger ones are not kept."""
        found: list[list[_Input]] = []
        waiting: list[tuple[int, LoadedImage, GreyImage]] = []
        for item in images:
            if item.image and item.image.pixels.shape == self.model.image_shape:
                waiting.append((len(found), item, item.image))
                found.append([])
            else:
                found.append(list(self._fit(item, several)))
        kept = keep_trained([image for *_, image in waiting], self.model.image_shape, self.model.conventions)
        for (place, item, _), image in zip(waiting, kept, strict=True):
            found[place] = [_Input(item.name, image)] if image else list(self._fit(item, several))
        return [each for inputs in found for each in inputs]

    def _fit(self, item: LoadedImage, several: bool) -> Iterator["_Input"]:
        if item.image is None:
            yield _Input(item.name, None, item.error)
            return
        size, conventions = self.model.image_shape, self.model.conventions
        try:
            if several:
                for number, image in enumerate(to_model_inputs(item.image, size, conventions), 1):
                    yield _Input(item.name, image, shape=number)
            else:
                yield _Input(item.name, to_model_input(item.image, size, conventions))
        except BadSource as refusal:
            yield _Input(item.name, None, str(refusal))


class _Input(NamedTuple):
    """An image as the model takes it, or the `error` that kept it from being read. `shape`: see `Prediction`."""

    name: str
    image: GreyImage | None
    error: str = ""
    shape: int | None = None


def ensure_weights(version: Version, settings: Settings) -> Version:
    """The version, after its weights were restored to the store from MLflow's copy, if need be. Raises ArtifactLost."""
    if Registry(settings.home).restore(version, settings.artifacts):
        return version
    raise ArtifactLost(
        f"the weights of version {version.version} are gone, here and in MLflow; choose another version with --model"
    )


def as_prediction(
    name: str,
    image: GreyImage,
    row: np.ndarray,
    shape: int | None = None,
    class_names: tuple[str, ...] = (),
) -> Prediction:
    """The prediction for one image from its row of class probabilities."""
    second, first = np.argsort(row, kind="stable")[-2:].tolist()
    return Prediction(
        image=name,
        shape=shape,
        label=first,
        name=class_names[first] if first < len(class_names) else None,
        probability=float(row[first]),
        runner_up=second,
        runner_up_name=class_names[second] if second < len(class_names) else None,
        runner_up_probability=float(row[second]),
        changes=image.changes,
    )
