"""A fresh process that loads stored weights, predicts golden images from raw pixels, and measures speed.

It can be started ahead, and imports Keras while it waits. Run as a module, this file is that process.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from artifacts.errors import ArtifactLost
from artifacts.storage.remote import Remote
from artifacts.storage.store import Ref, Store
from tasks.data.images import rescale
from tasks.evaluation.gate import SmokeTest
from tasks.model.forward import BATCH, load, probabilities
from tasks.model.hyperparameters import Hyperparameters

SINGLES, BATCHES = 30, 3

_waiting: dict[Store, subprocess.Popen[str]] = {}


def stand_by(store: Store) -> None:
    """Start the process that the next `ask` will use. It ends with this one, however that ends."""
    module = answer.__module__  # named, so that its code counts as reached
    command = [sys.executable, "-m", module, str(store.home), store.remote.url if store.remote else ""]
    pipe = subprocess.PIPE
    _waiting[store] = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)  # noqa: S603  # this interpreter on this file


def ask(request: dict[str, Any], store: Store) -> dict[str, Any]:
    """The answer of a process that has done nothing before. Raises ArtifactLost if it fails."""
    if store not in _waiting:
        stand_by(store)
    process = _waiting.pop(store)
    told, complaint = process.communicate(json.dumps(request))
    if process.returncode:
        raise ArtifactLost((complaint.strip() or f"exit status {process.returncode}").splitlines()[-1])
    answered: dict[str, Any] = json.loads(told.splitlines()[-1])
    return answered


def answer(request: dict[str, Any], store: Store) -> dict[str, Any]:
    """Probabilities of the golden images, and the fields of a `SmokeTest`: medians after one call to warm up."""
    weights, raw = Ref.model_validate(request["weights"]), store.get(Ref.model_validate(request["images"]))
    hyperparameters = Hyperparameters.model_validate(request["hyperparameters"])
    network = load(weights, (*raw.shape[1:], 1), request["classes"], hyperparameters, store)
    golden = probabilities(network, rescale(raw[: request["golden"]]))
    batch = raw[:BATCH]
    single = [_seconds(lambda: probabilities(network, rescale(raw[:1]))) for _ in range(SINGLES + 1)][1:]
    batches = [_seconds(lambda: probabilities(network, rescale(batch))) for _ in range(BATCHES + 1)][1:]
    measured = SmokeTest(
        weights_bytes=store.path(weights).stat().st_size,
        latency_ms=1000 * median(single),
        throughput=len(batch) / median(batches),
    )
    return measured.model_dump() | {"probabilities": golden.tolist()}


def _seconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def _main() -> None:
    os.nice(5)  # whoever started us ahead has more urgent work
    import tasks.model.keras_setup  # noqa: F401  # the slow part, while nobody waits

    if text := sys.stdin.read():  # else nobody asked
        store = Store(Path(sys.argv[1]), Remote(sys.argv[2]) if sys.argv[2] else None)
        sys.stdout.write(json.dumps(answer(json.loads(text), store)))


if __name__ == "__main__":
    _main()
