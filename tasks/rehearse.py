"""Use the saved weights as production will, in a fresh process, before anything relies on them."""

import json
import subprocess
import sys

import numpy as np

from artifacts.errors import ArtifactLost
from artifacts.hyperparameters import Hyperparameters
from artifacts.rehearsal import answer
from artifacts.store import Ref, Store
from tasks.caching import step

GOLDEN = 64
"""First test images whose probabilities must come out again."""

TOLERANCE = 1e-5
"""Largest difference of a probability: float32 sums in another order differ by about 1e-7."""


@step("rehearse", shaped_by=("keras", "tensorflow", "numpy"))
def rehearse(weights: Ref, images: Ref, probabilities: Ref, hyperparameters: Hyperparameters, store: Store) -> Ref:
    """Let a new process load the weights by digest, predict raw images (n, height, width), and compare with the
    probabilities (n, classes) of the evaluation; the result is a `Rehearsal` as JSON.

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
    command = [sys.executable, "-m", answer.__module__, str(store.home), store.remote.url if store.remote else ""]
    process = subprocess.run(command, input=json.dumps(request), capture_output=True, text=True, check=False)  # noqa: S603  # this interpreter on our own module
    if process.returncode:
        last = (process.stderr.strip() or "no message").splitlines()[-1]
        raise ArtifactLost(f"the weights {weights.sha256[:12]}… fail in a fresh process: {last}")
    answered = json.loads(process.stdout.splitlines()[-1])
    gap = float(np.abs(np.array(answered.pop("probabilities"), np.float32) - expected).max())
    if not gap <= TOLERANCE:
        raise ArtifactLost(f"the weights {weights.sha256[:12]}… predict otherwise in a fresh process: off by {gap:.2g}")
    return store.put_json(answered)
