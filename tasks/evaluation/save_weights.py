"""Prove that the stored weights are the model that was evaluated, before anything uses them."""

import numpy as np
from pydantic import BaseModel, Field

from artifacts.errors import ArtifactLost, DigitflowError
from artifacts.storage.store import Ref, Store
from tasks.caching import step
from tasks.evaluation.smoke_test import run_smoke_test
from tasks.model.hyperparameters import Hyperparameters
from tasks.pictures.conventions import MNIST, Conventions
from tasks.pictures.training_layout import measure_conventions


class Saved(BaseModel, frozen=True, populate_by_name=True, serialize_by_alias=True):
    """Weights that passed the smoke test, its measurements (a `gate.SmokeTest` as JSON), and how its images lie."""

    weights: Ref
    smoke_test: Ref = Field(alias="rehearsal")
    conventions: Conventions = MNIST


GOLDEN = 64
"""Number of test images, from the first on, whose probabilities are compared."""

TOLERANCE = 1e-5
"""Largest accepted difference of a probability. float32 sums in another order differ by about 1e-7."""


@step("save-weights", shaped_by=("keras", "backend", "numpy"))
def save_weights(
    weights: Ref, images: Ref, probabilities: Ref, *, trained_on: Ref, hyperparameters: Hyperparameters, store: Store
) -> Saved:
    """Run the smoke test on a `.weights.h5` file and raw test images (n, height, width).

    The conventions are those of the raw images `trained_on`, to which pictures are brought from then on.

    The new process must predict the probabilities (n, classes) of the evaluation. Raises ArtifactLost if it fails, or
    if a probability differs by more than TOLERANCE.
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
        reply = run_smoke_test(request, store)
    except DigitflowError as error:
        raise ArtifactLost(f"the weights {weights.sha256[:12]}… fail in a fresh process: {error}") from None
    gap = float(np.abs(np.array(reply.pop("probabilities"), np.float32) - expected).max())
    if not gap <= TOLERANCE:
        raise ArtifactLost(f"the weights {weights.sha256[:12]}… predict otherwise in a fresh process: off by {gap:.2g}")
    conventions = measure_conventions(store.get(trained_on))
    return Saved(weights=weights, smoke_test=store.put_json(reply), conventions=conventions)
