"""A fresh process that loads stored weights, predicts golden images from raw pixels, and measures speed.

    python -m artifacts.rehearsal HOME REMOTE < REQUEST

The request and the answer, on the last line of stdout, are JSON; see `tasks.rehearse`.
"""

import json
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

from artifacts.gate import Rehearsal
from artifacts.hyperparameters import Hyperparameters
from artifacts.prediction import BATCH, load, probabilities, rescale
from artifacts.remote import Remote
from artifacts.store import Ref, Store

SINGLES, BATCHES = 30, 3


def answer(request: dict[str, Any], store: Store) -> dict[str, Any]:
    """Probabilities of the golden images, and the fields of a `Rehearsal`: medians after one call to warm up."""
    weights, raw = Ref.model_validate(request["weights"]), store.get(Ref.model_validate(request["images"]))
    hyperparameters = Hyperparameters.model_validate(request["hyperparameters"])
    network = load(weights, (*raw.shape[1:], 1), request["classes"], hyperparameters, store)
    golden = probabilities(network, rescale(raw[: request["golden"]]))
    batch = raw[:BATCH]
    single = [_seconds(lambda: probabilities(network, rescale(raw[:1]))) for _ in range(SINGLES + 1)][1:]
    batches = [_seconds(lambda: probabilities(network, rescale(batch))) for _ in range(BATCHES + 1)][1:]
    measured = Rehearsal(
        weights_bytes=store.path(weights).stat().st_size,
        latency_ms=1000 * median(single),
        throughput=len(batch) / median(batches),
    )
    return measured.model_dump() | {"probabilities": golden.tolist()}


def _seconds(call: Any) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


if __name__ == "__main__":
    store = Store(Path(sys.argv[1]), Remote(sys.argv[2]) if sys.argv[2] else None)
    print(json.dumps(answer(json.load(sys.stdin), store)))  # noqa: T201  # the answer
