"""Train recipes and the two public examples, interleaved, each in a process of its own; print what they reach and cost.

    python -m tests.benchmarks.bench --seeds 10 --json bench.json
    make bench    make bench QUICK=1

Test accuracy is that of the last epoch, for all seeds; nothing is chosen by it. Seconds are those of the fit alone, and
of its process with all imports and the test; memory is that process's peak until the fit is done; GFLOP/s are those of
convolutions and dense layers, three passes an image.
"""

import argparse
import json
import math
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from statistics import mean, median, stdev
from typing import Any

import numpy as np
from scipy.stats import t

MISLABELLED = (947, 1621, 1901, 2130, 2462, 2597, 2654, 3520, 3558, 5937, 6651, 6783, 8527, 9679, 9729)
"""Test images of MNIST whose label fewer than three of five people confirmed: Northcutt, Athalye & Mueller 2021,
"Pervasive Label Errors in Test Sets" (arXiv:2103.14749), cleanlab/label-errors, mturk/mnist_mturk.json."""

EXAMPLES = {"tutorial's script": "tutorial", "Keras's example": "keras_example"}
SEEDS = {"best": 5, "accurate": 5, "keras-example": 5, "tiny": 5, "tutorial's script": 5, "Keras's example": 2}
NAMES = [*EXAMPLES, "tutorial", "fast", "micro", "tiny", "keras-example", "accurate", "best"]
SHARE = {"Keras's example": 0.9}
"""Of the training images: the rest is held out."""
QUICK = [*EXAMPLES, "tutorial", "fast"]

Result = dict[str, float]


def one(name: str, seed: int, data: Path) -> Result:
    """Train once, here: the examples on arrays in memory, the recipes on mapped files, each as it does by itself."""
    paths = [data / f"{i}.npy" for i in range(4)]
    train_x, train_y, test_x, test_y = (np.load(path, mmap_mode=None if name in EXAMPLES else "r") for path in paths)
    if name in EXAMPLES:
        from tests.benchmarks import verbatim

        verbatim.keras.utils.set_random_seed(seed)
        offset = 0.5 if EXAMPLES[name] == "keras_example" else 0.0
        train_x, test_x = train_x + np.float32(offset), test_x + np.float32(offset)
        started = time.perf_counter(), time.process_time()
        network = getattr(verbatim, EXAMPLES[name])(train_x, train_y, test_x, test_y)
        epochs = len(network.history.history["loss"])
    else:
        import tasks.model.keras_setup  # noqa: F401  # not part of the fit
        from tasks.model.recipes import choose
        from tasks.training.fit import fit_network

        recipe: Any = choose(name, "mnist")  # type: ignore[arg-type]
        epochs = recipe.epochs
        started = time.perf_counter(), time.process_time()
        network, _ = fit_network(train_x, train_y, recipe, seed=seed)
    seconds, cpu = time.perf_counter() - started[0], time.process_time() - started[1]
    peak = peak_gb()
    right = network.predict(test_x, verbose=0, batch_size=1000).argmax(axis=1) == test_y.argmax(axis=1)
    return {
        "accuracy": float(right.mean()),
        "without_mislabelled": float(np.delete(right, MISLABELLED).mean()),
        "seconds": seconds,
        "cpu_seconds": cpu,
        "peak_gb": peak,
        "parameters": network.count_params(),
        "gflops": 3 * epochs * len(train_x) * SHARE.get(name, 1) * flop(network) / seconds / 1e9,
    }


def peak_gb() -> float:
    """The largest resident memory of this process so far. (On Linux, rusage would count that of its parent too.)"""
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().partition("VmHWM:")[2].split()[0]) * 1024 / 1e9
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e9


def flop(network: Any) -> int:
    """Floating-point operations of one image's way through the convolutions and dense layers, forward."""
    places = {layer: math.prod(layer.output.shape[1:-1]) for layer in network._flatten_layers(include_self=False)}
    kernels = [
        (getattr(layer, name), places[layer])
        for layer in places
        for name in ("_kernel", "depthwise_kernel", "pointwise_kernel")
        if hasattr(layer, name)
    ]
    return sum(2 * math.prod(kernel.shape) * times for kernel, times in kernels)


def matrix_rate() -> float:
    """GFLOP/s of a product of two float32 matrices of 2048 by 2048, the best of five."""
    import tensorflow as tf

    a = tf.random.normal((2048, 2048))
    times = []
    for _ in range(5):
        started = time.perf_counter()
        (a @ a).numpy()
        times.append(time.perf_counter() - started)
    return float(2 * 2048**3 / min(times) / 1e9)


def fetch(folder: Path) -> None:
    """Write MNIST as the pipeline prepares it, to be read by every process."""
    from artifacts.storage.settings import Settings
    from flows.plan import locate
    from tasks.data.download import download
    from tasks.data.normalise import normalise_and_reshape
    from tasks.data.one_hot import one_hot_encode

    settings = Settings.load()
    store = settings.artifacts
    data = download.fn(*locate("mnist", settings), store)
    images, targets = normalise_and_reshape.fn(data, store), one_hot_encode.fn(data, store)
    for i, ref in enumerate((images.train, targets.train, images.test, targets.test)):
        np.save(folder / f"{i}.npy", store.get(ref))


def run(name: str, seed: int, data: Path) -> Result:
    """Train once, in a process of its own."""
    command = [sys.executable, "-m", "tests.benchmarks.bench", "--one", name, "--seed", str(seed), "--data", str(data)]
    started = time.perf_counter()
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    if finished.returncode:
        raise SystemExit(f"{name}, seed {seed}: {finished.stderr}")
    result: Result = json.loads(finished.stdout.splitlines()[-1])
    return result | {"process_seconds": time.perf_counter() - started}


def table(results: dict[str, list[Result]]) -> str:
    """The results as Markdown; ratios are between medians, so the machine's speed cancels out."""
    heads = [name for name in EXAMPLES if results.get(name)]
    reference = [median(r["seconds"] for r in results[name]) for name in heads]
    lines = [
        "| | test accuracy, mean ± sd (95% interval of the mean) | without the 15 mislabelled | seeds | parameters | "
        f"fit, s | {' | '.join(f'{head} takes' for head in heads)} | process, s | peak, GB | GFLOP/s |",
        "|---" * (9 + len(heads)) + "|",
    ]
    for name, found in ((name, found) for name, found in results.items() if found):
        seconds, process, peak, rate = (
            median(r[what] for r in found) for what in ("seconds", "process_seconds", "peak_gb", "gflops")
        )
        aside = mean(r["without_mislabelled"] for r in found)
        ratios = " | ".join(f"{one / seconds:.2f} ×" for one in reference)
        lines.append(
            f"| {name} | {interval([r['accuracy'] for r in found])} | {aside:.2%} | {len(found)} "
            f"| {found[0]['parameters']:,} | {seconds:.1f} | {ratios} | {process:.1f} | {peak:.2f} | {rate:.0f} |"
        )
    return "\n".join(lines)


def interval(values: list[float]) -> str:
    """Mean, standard deviation and Student's 95% interval of the mean."""
    if len(values) < 2:
        return f"{values[0]:.2%}"
    spread = stdev(values)
    half = float(t.ppf(0.975, len(values) - 1)) * spread / math.sqrt(len(values))
    return f"{mean(values):.2%} ± {spread:.2%} ({mean(values) - half:.2%} to {min(mean(values) + half, 1):.2%})"


def machine() -> str:
    """What the figures were measured on."""
    from artifacts.lineage.environment import versions

    libraries = ", ".join(map(" ".join, versions(("keras", "tensorflow", "numpy")).items()))
    return (
        f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, {matrix_rate():.0f} GFLOP/s in float32 "
        f"matrix products, Python {platform.python_version()}, {libraries}; {datetime.now(UTC):%Y-%m-%d}"
    )


def keep(path: Path, figures: dict[str, Any]) -> None:
    """Write a file that is never half written."""
    new = path.with_name(f".{path.name}")
    new.write_text(json.dumps(figures, indent=1))
    new.replace(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--names", default=",".join(NAMES))
    parser.add_argument("--seeds", type=int, default=10, help="at most; the slow ones take fewer")
    parser.add_argument("--quick", action="store_true", help="one seed, and only what takes a few minutes in all")
    parser.add_argument("--json", type=Path, help="also write every figure here")
    parser.add_argument("--resume", action="store_true", help="go on from what --json has, made by the same code")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--data", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(one(arguments.one, arguments.seed, arguments.data)))
        return
    names = QUICK if arguments.quick else arguments.names.split(",")
    results: dict[str, list[Result]] = {name: [] for name in names}
    if arguments.resume and arguments.json and arguments.json.exists():
        results |= json.loads(arguments.json.read_text())["results"]
    where = machine()
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        fetch(data)
        for seed in range(1 if arguments.quick else arguments.seeds):
            for name in names:
                if len(results[name]) <= seed < SEEDS.get(name, arguments.seeds):
                    results[name].append(run(name, seed, data))
                    print(name, seed, results[name][-1], file=sys.stderr, flush=True)
                    if arguments.json:
                        keep(arguments.json, {"machine": where, "results": results})
    print(f"{table(results)}\n\n{where}")


if __name__ == "__main__":
    main()
