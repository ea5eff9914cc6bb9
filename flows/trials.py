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
from flows.plan import Where
from tasks.data.datasets import Pair, Split
from tasks.experiments.trial import trial
from tasks.experiments.trial_worker import TrialResult
from tasks.model.hyperparameters import Hyperparameters
from tasks.training.workers import dismiss


class Trials:
    """What tries hyperparameters on divided data, and counts how many trials were made and how many were cached."""

    def __init__(self, images: Pair, targets: Pair, runner: "TaskRunner[Any]"):
        self._train = Split(images=images.train, labels=targets.train)
        self._held_out = Split(images=images.test, labels=targets.test)
        self._runner = runner
        self.computed = self.cached = 0

    def run(
        self, asked: Sequence[tuple[Hyperparameters, int]], floors: tuple[float, ...] | None = None
    ) -> list[TrialResult]:
        """One trial for each hyperparameters and seed, as many at once as the runner can. All end before one fails."""
        futures = self._runner.map(
            trial,  # type: ignore[arg-type]  # a Step is a Task
            {
                "train": unmapped(self._train),
                "held_out": unmapped(self._held_out),
                "hyperparameters": [hyperparameters for hyperparameters, _ in asked],
                "seed": [seed for _, seed in asked],
                "floors": unmapped(floors),
            },
        )
        for done, future in enumerate(futures, 1):
            future.wait()
            report_progress("trials", done=done, total=len(asked))
        found = [future.result() for future in futures]
        cached = sum(future.state.name == "Cached" for future in futures)
        self.cached, self.computed = self.cached + cached, self.computed + len(asked) - cached
        return found


@contextlib.contextmanager
def workers(where: Where) -> "Iterator[TaskRunner[Any]]":
    """A task runner that is ready. Raises DigitflowError if no cluster answers."""
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
            threading.Thread(target=local.cancel_all).start()  # else what waits starts where something ends
            raise
        finally:
            dismiss()


@contextlib.contextmanager
def _cluster(address: str) -> "Iterator[TaskRunner[Any]]":
    try:
        from prefect_dask.task_runners import DaskTaskRunner
    except ImportError:
        raise UsageError("the runner dask needs the extra dask: pip install 'digitflow[dask]'") from None
    with DaskTaskRunner(address=address, client_kwargs={"timeout": 10}) as runner:
        try:
            _ = runner.client  # connects
        except (OSError, ValueError) as error:
            raise DigitflowError(
                f"no Dask scheduler answers at {address}: {error}; start one: dask scheduler"
            ) from None
        yield runner
