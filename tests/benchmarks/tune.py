"""Choose hyperparameters on a validation split of the training images; the test images are not even read.

python tests/benchmarks/tune.py tutorial --vary learning_rate=0.003,0.01 --vary batch_size=64,128 --seeds 3
"""

import argparse
import itertools
import json
import time
from statistics import mean, stdev

import numpy as np

from artifacts.hyperparameters import RECIPES, Hyperparameters
from artifacts.prediction import probabilities
from artifacts.settings import Settings
from flows.plan import locate
from tasks.download import fetch_file
from tasks.normalise import rescale
from tasks.one_hot import one_hot
from tasks.train import fit

HELD_OUT = 10_000


def split(dataset: str) -> tuple[np.ndarray, ...]:
    """Training images and labels, shuffled once, as (train images, train labels, held-out images, held-out labels)."""
    settings = Settings.load()
    source, mirrors = locate(dataset, settings)
    images, labels = (settings.artifacts.get(fetch_file(i, source, mirrors, settings.artifacts)) for i in (0, 1))
    order = np.random.default_rng(20190808).permutation(len(labels))
    images, labels = rescale(images[order]), labels[order]
    return images[:-HELD_OUT], labels[:-HELD_OUT], images[-HELD_OUT:], labels[-HELD_OUT:]


def score(data: tuple[np.ndarray, ...], hyperparameters: Hyperparameters, seed: int) -> tuple[float, float]:
    """Accuracy on the held-out images and seconds of the fit."""
    train_x, train_y, held_x, held_y = data
    started = time.perf_counter()
    network, _ = fit(train_x, one_hot(train_y, 10), hyperparameters, seed)
    seconds = time.perf_counter() - started
    return float((probabilities(network, held_x).argmax(axis=1) == held_y).mean()), seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe", choices=RECIPES)
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument("--vary", action="append", default=[], metavar="NAME=VALUE,VALUE")
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    names, values = zip(*(item.split("=", 1) for item in arguments.vary), strict=True) if arguments.vary else ((), ())
    data = split(arguments.dataset)
    for choice in itertools.product(*(value.split(",") for value in values)):
        changes = {name: _parsed(value) for name, value in zip(names, choice, strict=True)}
        hyperparameters = Hyperparameters.model_validate(RECIPES[arguments.recipe].model_dump() | changes)
        scores = [score(data, hyperparameters, seed) for seed in range(arguments.seeds)]
        accuracies = [accuracy for accuracy, _ in scores]
        spread = stdev(accuracies) if len(scores) > 1 else 0.0
        seconds = mean(seconds for _, seconds in scores)
        print(f"{mean(accuracies):.4f} ± {spread:.4f}  {seconds:5.1f} s  {json.dumps(changes)}", flush=True)  # noqa: T201


def _parsed(value: str) -> object:
    try:
        return json.loads(value)
    except json.JSONDecodeError:
        return value


if __name__ == "__main__":
    main()
