"""Prove that the weights, read back from their file, are the model that was evaluated."""

import numpy as np

from artifacts.errors import ArtifactLost
from artifacts.hyperparameters import Hyperparameters
from artifacts.prediction import predict
from artifacts.store import Ref, Store
from tasks.caching import step

GOLDEN = 64
"""First test images whose probabilities must come out again."""

TOLERANCE = 1e-5
"""Largest difference of a probability: float32 sums in another order differ by about 1e-7."""


@step("save-weights", shaped_by=("keras", "tensorflow", "numpy"))
def save_weights(weights: Ref, images: Ref, probabilities: Ref, hyperparameters: Hyperparameters, store: Store) -> Ref:
    """Load the `.weights.h5` file into a new network and compare its predictions with those of the evaluation.

    Raises ArtifactLost if they differ; otherwise returns the weights, now known to work.
    """
    expected = store.get(probabilities)[:GOLDEN]
    actual = predict(weights, store.get(images)[:GOLDEN], expected.shape[1], hyperparameters, store)
    gap = float(np.abs(actual - expected).max())
    if not gap <= TOLERANCE:
        raise ArtifactLost(f"the weights {weights.sha256[:12]}… predict otherwise once reloaded: off by {gap:.2g}")
    return weights
