"""Trials side by side: in processes of this machine, or on a Dask cluster."""

import contextlib
import threading
from collections.abc import Iterator, Sequence
from typing import Any

from prefect import unmapped
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from artifacts.errors import DigitflowError, UsageError
from artifacts.lineage.environment import backend
from artifacts.lineage.progress import report_progress
from flows.plan import Execution
from tasks.data.datasets import Pair, Split
from tasks.experiments.trial import trial
from tasks.experiments.trial_worker import TrialResult
from tasks.model.hyperparameters import Hyperparameters
from tasks.training.workers import stop_workers


class Trials:
    """Runs trials on training images and held-out ones, and counts how many were computed and how many were cached."""

    def __init__(self, images: Pair, targets: Pair, runner: "TaskRunner[Any]"):
        self._train = Split(images=images.train, labels=targets.train)
        self._held_out = Split(images=images.test, labels=targets.test)
        self._runner = runner
        self.computed = self.cached = 0

    def run(
        self, requests: Sequence[tuple[Hyperparameters, int]], thresholds: tuple[float, ...] | None = None
    ) -> list[TrialResult]:
        """Run one trial for each pair of hyperparameters and seed. If one fails, this raises once all have ended.

        `thresholds` are the accuracies below which a trial is pruned, by epoch.
        """
        futures = self._runner.map(
            trial.task_to_run,
            {
                "train": unmapped(self._train),
                "held_out": unmapped(self._held_out),
                "hyperparameters": [hyperparameters for hyperparameters, _ in requests],
                "seed": [seed for _, seed in requests],
                "pruning_thresholds": unmapped(thresholds),
            },
        )
        for done, future in enumerate(futures, 1):
            future.wait()
            report_progress("trials", done=done, total=len(requests))
        results = [trial.typed(future.result()) for future in futures]
        cached = sum(future.state.name == "Cached" for future in futures)
        self.cached, self.computed = self.cached + cached, self.computed + len(requests) - cached
        return results


@contextlib.contextmanager
def workers(where: Execution) -> "Iterator[TaskRunner[Any]]":
    """A task runner that is ready. Raises DigitflowError if Dask's scheduler does not answer."""
    if where.runner == "dask":
        with _cluster(where.address) as runner:
            yield runner
        return
    from joblib import cpu_count  # unlike Python 3.11's, it knows of cgroups and affinity

    count = where.processes or (cpu_count() if backend() == "tensorflow" else 1)  # JAX takes all cores for each
    local: ThreadPoolTaskRunner[Any] = ThreadPoolTaskRunner(max_workers=count)
    with local:
        try:
            yield local
        except BaseException:
            threading.Thread(target=local.cancel_all).start()  # else a waiting trial starts when another ends
            raise
        finally:
            stop_workers()


@contextlib.contextmanager
def _cluster(address: str) -> "Iterator[TaskRunner[Any]]":
    try:
        from prefect_dask.task_runners import DaskTaskRunner
    except ImportError:
        raise UsageError("the runner dask needs the extra dask; docs/operations.md says how to add it") from None
    with DaskTaskRunner(address=address, client_kwargs={"timeout": 10}) as runner:
        try:
            _ = runner.client  # connects
        except (OSError, ValueError) as error:
            raise DigitflowError(
                f"no Dask scheduler answers at {address}: {error}; start one: dask scheduler"
            ) from None
        yield runner
