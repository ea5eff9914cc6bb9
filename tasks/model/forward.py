"""From pixels and saved weights to probabilities, the same way wherever they are used."""

from typing import TYPE_CHECKING

import numpy as np

from artifacts.errors import ArtifactLost
from artifacts.storage.arrays import Images, Probabilities
from artifacts.storage.store import Ref, Store
from tasks.model.hyperparameters import Hyperparameters

if TYPE_CHECKING:
    from tasks.model.keras_setup import keras

BATCH = 1024


def load(
    weights: Ref, shape: tuple[int, ...], classes: int, hyperparameters: Hyperparameters, store: Store
) -> "keras.Model":
    """A new network for images of `shape` (height, width, 1), with the stored weights. Raises ArtifactLost."""
    from tasks.model.network import build

    network = build(hyperparameters, shape, classes)
    try:
        network.load_weights(store.path(weights))
    except (OSError, ValueError, KeyError) as error:
        what = " ".join(str(error).split())
        raise ArtifactLost(f"the weights {weights.sha256[:12]}… do not fit the network: {what}") from None
    return network


def predict(
    weights: Ref, images: Images, classes: int, hyperparameters: Hyperparameters, store: Store
) -> Probabilities:
    """Probabilities (n, classes) of a new network with the stored weights. Raises ArtifactLost."""
    return probabilities(load(weights, images.shape[1:], classes, hyperparameters, store), images)


def probabilities(network: "keras.Model", images: Images) -> Probabilities:
    """Probabilities (n, classes) float32 of a network in memory, a batch at a time."""
    batches = [network.predict_on_batch(images[i : i + BATCH]) for i in range(0, len(images), BATCH)]
    return np.concatenate(batches)
