"""Peak memory and time of the steps before training, or of all, each size in a process of its own, on synthetic images.

python -m tests.benchmarks.memory 125000 500000 1000000
python -m tests.benchmarks.memory --train 60000 1000000
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from artifacts.storage.arrays import CHUNK
from artifacts.storage.store import Store
from tasks.data.datasets import Split, Splits
from tasks.data.normalise import normalise_and_reshape
from tasks.data.one_hot import one_hot_encode
from tasks.data.validate import validate
from tasks.model.hyperparameters import Hyperparameters
from tasks.training.train import train
from tests.benchmarks.bench import peak_gb


def synthetic(count: int, seed: int, store: Store) -> Split:
    """Noise images of 28 by 28 pixels and their labels."""
    random = np.random.default_rng(seed)
    sizes = [min(CHUNK, count - start) for start in range(0, count, CHUNK)]
    images = (random.integers(0, 256, (size, 28, 28), np.uint8) for size in sizes)
    labels = store.put(np.arange(count, dtype=np.uint32).astype(np.uint8) % 10)
    return Split(images=store.put_chunks((count, 28, 28), np.dtype(np.uint8), images), labels=labels)


def prepare(count: int, home: Path, training: bool) -> None:
    """Validate, normalise and encode `count` images, perhaps train on them once; print peak memory and seconds."""
    store = Store(home)
    data = Splits(train=synthetic(count, 0, store), test=synthetic(10_000, 1, store))
    started = time.perf_counter()
    checked = validate.fn(data, 10, store)
    images, targets = normalise_and_reshape.fn(checked.data, store), one_hot_encode.fn(checked.data, store)
    if training:
        train.fn(images.train, targets.train, Hyperparameters(epochs=1), seed=0, store=store)
    print(f"{count:>9,} images  {peak_gb():6.2f} GB  {time.perf_counter() - started:6.1f} s", flush=True)


if __name__ == "__main__":
    training, *sizes = [False, *sys.argv[1:]] if "--train" not in sys.argv else [True, *sys.argv[2:]]
    if sizes[0] == "--one":
        with tempfile.TemporaryDirectory() as folder:
            prepare(int(sizes[1]), Path(folder), training)
    else:
        for size in sizes:
            flags = ["--train"] if training else []
            subprocess.run([sys.executable, "-m", "tests.benchmarks.memory", *flags, "--one", size], check=True)
