"""What does the champion read in a batch? Its network is loaded when the first batch needs it, and not before."""

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from artifacts.storage.arrays import Labels, Probabilities, RawImages, chunks
from artifacts.storage.store import Store
from tasks.data.datasets import Split, Splits
from tasks.data.images import rescale
from tasks.model.forward import load_network, predict_probabilities
from tasks.registry.versions import Version
from tasks.retraining.judgement.label_check import LabelCheck, check_labels, confusion_matrix

if TYPE_CHECKING:
    from tasks.model.keras_setup import keras


class LabelJudge:
    """A champion that checks the labels of batches. Its errors on the test images of `test` say how well it reads."""

    def __init__(self, champion: Version, test: Split, store: Store):
        self._champion, self._test, self._store = champion, test, store

    def check(self, images: RawImages, labels: Labels) -> LabelCheck:
        """Hold the labels (n,) of images (n, height, width) against what the champion reads. Raises ArtifactLost."""
        return check_labels(self._read(images), labels, self._test_confusion, self._champion.version)

    @cached_property
    def _network(self) -> "keras.Model":
        champion = self._champion
        return load_network(
            champion.weights,
            (*champion.image_shape, 1),
            champion.classes,
            hyperparameters=champion.hyperparameters,
            store=self._store,
        )

    @cached_property
    def _test_confusion(self) -> np.ndarray:
        images, labels = self._store.get(self._test.images), self._store.get(self._test.labels)
        return confusion_matrix(labels, self._read(images).argmax(axis=1), self._champion.classes)

    def _read(self, images: RawImages) -> Probabilities:
        return np.concatenate([predict_probabilities(self._network, rescale(part)) for part in chunks(images)])


def why_not_judged(champion: Version | None, data: Splits, classes: int, store: Store) -> str:
    """Why the champion cannot check labels for a data set with that number of classes; empty if it can."""
    if champion is None:
        return "there was no champion"
    names = champion.class_names, data.class_names
    is_renamed = all(names) and names[0] != names[1]
    if champion.classes != classes or is_renamed or champion.image_shape != data.test.images.shape[1:]:
        return f"the champion, version {champion.version}, has other classes, or images of another size"
    return "" if store.holds(champion.weights) else f"the weights of the champion, version {champion.version}, are gone"
