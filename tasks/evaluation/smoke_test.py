"""The smoke test: a new process loads stored weights, predicts from raw pixels as production does, and is timed.

Run as a module, this file is that process. It can be started ahead of need, and imports Keras while it waits.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from artifacts.storage.remote import Remote
from artifacts.storage.store import Ref, Store
from tasks.data.images import rescale
from tasks.evaluation.gate import SmokeTest
from tasks.model.forward import BATCH, load_network, predict_probabilities
from tasks.model.hyperparameters import Hyperparameters
from tasks.training.workers import Reply, Request, Worker, serve

SINGLES, BATCHES = 30, 3
"""Timed predictions of one image, and of BATCH images."""

_waiting: list[Worker] = []


def start_ahead() -> None:
    """Start the process that the next `run_smoke_test` uses."""
    if not _waiting:
        _waiting.append(_new_process())


def run_smoke_test(request: Request, store: Store) -> Reply:
    """The reply of `answer_smoke_test` in a process that did nothing before. Raises DigitflowError if it fails."""
    process = _waiting.pop() if _waiting else _new_process()
    place = {"home": str(store.home), "remote": store.remote.url if store.remote else None}
    try:
        return process.ask(request | place)
    finally:
        process.stop()


def answer_smoke_test(request: Request, store: Store) -> Reply:
    """Probabilities of the `golden` first images, and the fields of a `SmokeTest`: medians after one warm-up call."""
    weights, raw = Ref.model_validate(request["weights"]), store.get(Ref.model_validate(request["images"]))
    shape, hp = (*raw.shape[1:], 1), Hyperparameters.model_validate(request["hyperparameters"])
    network = load_network(weights, shape, request["classes"], hyperparameters=hp, store=store)
    golden = predict_probabilities(network, rescale(raw[: request["golden"]]))
    batch = raw[:BATCH]
    single = _median_seconds(lambda: predict_probabilities(network, rescale(raw[:1])), SINGLES)
    several = _median_seconds(lambda: predict_probabilities(network, rescale(batch)), BATCHES)
    size = store.path(weights).stat().st_size
    measured = SmokeTest(weights_bytes=size, latency_ms=1000 * single, throughput=len(batch) / several)
    return measured.model_dump() | {"probabilities": golden.tolist()}


def _new_process() -> Worker:
    return Worker(answer_smoke_test.__module__)  # named, so that its code counts as reached


def _median_seconds(call: Callable[[], object], times: int) -> float:
    call()
    seconds = []
    for _ in range(times):
        started = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - started)
    return median(seconds)


def _answer(request: Request) -> Reply:
    store = Store(Path(request["home"]), Remote(request["remote"]) if request["remote"] else None)
    return answer_smoke_test(request, store)


def _start_up() -> None:
    os.nice(5)  # the process that started this one has more urgent work
    import tasks.model.keras_setup  # noqa: F401  # the slow part


if __name__ == "__main__":
    serve(_answer, _start_up)
