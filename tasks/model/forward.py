"""Load stored weights into a network, and predict the class probabilities of images with it."""

from typing import TYPE_CHECKING

import numpy as np

from artifacts.errors import ArtifactLost
from artifacts.storage.arrays import Images, Probabilities, release
from artifacts.storage.store import Ref, Store
from tasks.model.hyperparameters import Hyperparameters

if TYPE_CHECKING:
    from tasks.model.keras_setup import keras

BATCH = 512
"""Images in one forward pass: as fast as 1024, in half the memory (22 MB for the tutorial's convolution of 1024)."""


def load_network(
    weights: Ref, shape: tuple[int, ...], classes: int, *, hyperparameters: Hyperparameters, store: Store
) -> "keras.Model":
    """A new network for images of `shape` (height, width, 1), with the stored weights. Raises ArtifactLost."""
    from tasks.model.network import build_network

    network = build_network(hyperparameters, shape, classes)
    try:
        network.load_weights(store.path(weights))
    except (OSError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())
        raise ArtifactLost(f"the weights {weights.sha256[:12]}… do not fit the network: {reason}") from None
    return network


def load_and_predict(
    weights: Ref, images: Images, classes: int, *, hyperparameters: Hyperparameters, store: Store
) -> Probabilities:
    """Probabilities (n, classes) that a new network with the stored weights predicts. Raises ArtifactLost."""
    network = load_network(weights, images.shape[1:], classes, hyperparameters=hyperparameters, store=store)
    return predict_probabilities(network, images)


def predict_probabilities(network: "keras.Model", images: Images) -> Probabilities:
    """Probabilities (n, classes) float32 that a network in memory predicts, BATCH images at a time."""
    batches = []
    for i in range(0, len(images), BATCH):
        batches.append(network.predict_on_batch(images[i : i + BATCH]))
        release(images)
    return np.concatenate(batches)
