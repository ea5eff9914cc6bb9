"""From saved weights to probabilities, the same way wherever they are used."""

import numpy as np

from artifacts.arrays import Images, Probabilities
from artifacts.errors import ArtifactLost
from artifacts.hyperparameters import Hyperparameters
from artifacts.store import Ref, Store

BATCH = 1024


def predict(
    weights: Ref, images: Images, classes: int, hyperparameters: Hyperparameters, store: Store
) -> Probabilities:
    """Probabilities (n, classes) of a freshly built network with the stored weights. Raises ArtifactLost."""
    from artifacts.network import build

    network = build(hyperparameters, images.shape[1:], classes)
    try:
        network.load_weights(store.path(weights))
    except (OSError, ValueError, KeyError) as error:
        raise ArtifactLost(f"the weights {weights.sha256[:12]}… do not fit the network: {error}") from None
    return probabilities(network, images)


def probabilities(network: "keras.Model", images: Images) -> Probabilities:  # type: ignore[name-defined]  # noqa: F821
    """Probabilities (n, classes) float32 of a network in memory, a batch at a time."""
    return np.concatenate([network.predict_on_batch(images[i : i + BATCH]) for i in range(0, len(images), BATCH)])
