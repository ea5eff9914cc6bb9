"""Which images show what a model reads? Some of the test images, which it did not learn from."""

from typing import NamedTuple

import numpy as np

from artifacts.storage.store import Store
from tasks.data.images import Grey
from tasks.monitoring.reference import recorded_data
from tasks.registry.registry import Registry
from tasks.registry.versions import Version

CLASSES = 10
"""Most classes that samples are of."""


class Sample(NamedTuple):
    """A test image (height, width), as it was before training, and its true class."""

    image: Grey
    label: int


def choose_samples(version: Version, registry: Registry, store: Store) -> list[Sample]:
    """A test image of each of the first CLASSES classes that the test images show, by class.

    Raises DigitflowError if it is not known which images these are, ArtifactLost if they are gone.
    """
    test = recorded_data(version, registry, store).test
    images, labels = store.get(test.images), store.get(test.labels)
    classes, first = np.unique(labels, return_index=True)
    return [
        Sample(np.asarray(images[i]), label)
        for label, i in zip(classes.tolist()[:CLASSES], first.tolist(), strict=False)
    ]
