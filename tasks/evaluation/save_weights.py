"""Prove that the saved weights are the model that was evaluated, before anything relies on them."""

import numpy as np
from pydantic import BaseModel

from artifacts.errors import ArtifactLost
from artifacts.storage.store import Ref, Store
from tasks.caching import step
from tasks.evaluation.smoke_test import ask
from tasks.model.hyperparameters import Hyperparameters


class Saved(BaseModel, frozen=True):
    """Weights that work in a fresh process, and how they did there (a `gate.SmokeTest` as JSON)."""

    weights: Ref
    rehearsal: Ref


GOLDEN = 64
"""First test images whose probabilities must come out again."""

TOLERANCE = 1e-5
"""Largest difference of a probability: float32 sums in another order differ by about 1e-7."""


@step("save-weights", shaped_by=("keras", "backend", "numpy"))
def save_weights(
    weights: Ref, images: Ref, probabilities: Ref, hyperparameters: Hyperparameters, store: Store
) -> Saved:
    """Let a fresh process load the `.weights.h5` file by digest, predict raw images (n, height, width) as production
    will, and be timed; compare with the probabilities (n, classes) of the evaluation.

    Raises ArtifactLost if the process fails, or if a probability differs by more than TOLERANCE.
    """
    expected = store.get(probabilities)[:GOLDEN]
    request = {
        "weights": weights.model_dump(mode="json"),
        "images": images.model_dump(mode="json"),
        "hyperparameters": hyperparameters.model_dump(mode="json"),
        "classes": expected.shape[1],
        "golden": GOLDEN,
    }
    try:
        answered = ask(request, store)
    except ArtifactLost as error:
        raise ArtifactLost(f"the weights {weights.sha256[:12]}… fail in a fresh process: {error}") from None
    gap = float(np.abs(np.array(answered.pop("probabilities"), np.float32) - expected).max())
    if not gap <= TOLERANCE:
        raise ArtifactLost(f"the weights {weights.sha256[:12]}… predict otherwise in a fresh process: off by {gap:.2g}")
    return Saved(weights=weights, rehearsal=store.put_json(answered))
