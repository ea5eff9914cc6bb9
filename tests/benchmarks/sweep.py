"""What an experiment costs besides its trials: when they are made, and when they are in the cache.

    python tests/benchmarks/sweep.py --trials 16

The bound is the sum of the seconds that the trials took, as they ran side by side, over the number of processes: it
moves with the machine's load as the sweep does. What the cores give is measured beside it: the same fit alone, and as
many at once as there are processes.
"""

import argparse
import os
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

from joblib import cpu_count

from flows.cli.prefect_server import Server


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=16)
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument("--rounds", type=int, default=3, help="of the cached sweep")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder) / "server")
        server.start()
        os.environ |= {
            "PREFECT_API_URL": server.url,
            "PREFECT_LOGGING_LEVEL": "ERROR",
            "DIGITFLOW_HOME": f"{folder}/home",
        }
        server.wait()
        try:
            measure(arguments.dataset, arguments.trials, arguments.rounds)
        finally:
            server.stop()


def measure(dataset: str, trials: int, rounds: int) -> None:
    from flows.experiments import experiments
    from tasks.model.hyperparameters import Overrides

    processes = cpu_count()

    def sweep(count: int) -> tuple[float, list[dict[str, float]]]:
        """Wall seconds of a sweep of so many trials, and its rows."""
        variants = {f"{i}": Overrides(dropout=i / 100) for i in range(count)}
        started = time.perf_counter()
        found = experiments(dataset=dataset, variants=variants, seeds=1, propose=False)
        return time.perf_counter() - started, found.variants

    sweep(1)  # the data are prepared, and MLflow's database is there
    alone, together = fits(dataset, 1), fits(dataset, processes)
    print(f"{processes} processes give {processes * alone / together:.2f} cores: a fit alone takes {alone:.1f} s")
    wall, rows = sweep(trials + 1)  # one of them is cached
    spent = sorted(rows, key=lambda row: float(row["name"]))[1:]
    bound = sum(row["seconds"] for row in spent) / processes
    print(f"{trials} trials: {wall:.1f} s; the bound is {bound:.1f} s; ratio {wall / bound:.3f}")
    started = time.process_time()
    many = median(sweep(trials + 1)[0] for _ in range(rounds))
    between = time.process_time()
    few = median(sweep(1)[0] for _ in range(rounds))
    busy = (2 * between - started - time.process_time()) / rounds / trials
    each = 1000 * (many - few) / trials
    print(f"cached: {many:.2f} s for {trials + 1} trials, {few:.2f} s for 1")
    print(f"each cached trial: {each:.0f} ms, {1000 * busy:.0f} ms of CPU")


def fits(dataset: str, count: int) -> float:
    """Median seconds of so many fits at once, each in a process that is warm."""
    from artifacts.storage.settings import Settings
    from flows.plan import locate
    from tasks.data.datasets import Split
    from tasks.data.download import download
    from tasks.data.normalise import normalise_and_reshape
    from tasks.data.one_hot import one_hot_encode
    from tasks.experiments.hold_out import hold_out
    from tasks.experiments.trial import trial
    from tasks.model.hyperparameters import Hyperparameters
    from tasks.model.recipes import choose
    from tasks.training.workers import stop_workers

    store = Settings.load().artifacts
    data = hold_out.fn(download.fn(*locate(dataset, Settings.load()), store).train, store)
    images, targets = normalise_and_reshape.fn(data, store), one_hot_encode.fn(data, store)
    split = [Split(images=i, labels=t) for i, t in ((images.train, targets.train), (images.test, targets.test))]

    def fit(hyperparameters: Hyperparameters) -> float:
        return trial.fn(*split, hyperparameters, seed=0, pruning_thresholds=None).seconds

    full = choose("tutorial", dataset)
    with ThreadPoolExecutor(count) as pool:
        for hyperparameters in (full.model_copy(update={"epochs": 1}), full):
            seconds = list(pool.map(fit, [hyperparameters] * count))
    stop_workers()
    return median(seconds)


if __name__ == "__main__":
    main()
