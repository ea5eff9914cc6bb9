"""Train each recipe with several seeds, interleaved, and print what it reaches and costs as a Markdown table.

    python tests/benchmarks/bench.py --recipes tutorial,tutorial-verbatim --seeds 5

Accuracy is that of the last epoch on the test images, for all seeds; nothing is chosen by it. Seconds are those of the
fit alone; the ratio is the first recipe's median over each recipe's, so the machine's speed cancels out.
"""

import argparse
import json
import math
import os
import platform
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import mean, median, stdev

from scipy.stats import t

from artifacts.hyperparameters import RECIPES, choose
from artifacts.prediction import probabilities
from artifacts.settings import Settings
from flows.plan import locate
from tasks.download import download
from tasks.normalise import normalise_and_reshape
from tasks.one_hot import one_hot_encode
from tasks.train import fit

Scores = dict[str, list[tuple[float, float]]]


def measure(recipes: list[str], dataset: str, seeds: int) -> Scores:
    """Accuracy and seconds of each recipe and seed."""
    settings = Settings.load()
    store = settings.artifacts
    data = download.fn(*locate(dataset, settings), store)
    images, targets = normalise_and_reshape.fn(data, store), one_hot_encode.fn(data, store)
    train_x, train_y, test_x = store.get(images.train), store.get(targets.train), store.get(images.test)
    truth = store.get(data.test.labels)
    scores: Scores = {recipe: [] for recipe in recipes}
    for seed in range(seeds):
        for recipe in recipes:
            started = time.perf_counter()
            network, _ = fit(train_x, train_y, choose(recipe, dataset), seed)  # type: ignore[arg-type]
            seconds = time.perf_counter() - started
            scores[recipe].append((float((probabilities(network, test_x).argmax(axis=1) == truth).mean()), seconds))
    return scores


def table(scores: Scores) -> str:
    """The scores as Markdown."""
    lines = [
        "| recipe | test accuracy, mean ± sd (95 % interval of the mean) | seeds | fit, s | speed |",
        "|---|---|---|---|---|",
    ]
    reference = median(seconds for _, seconds in next(iter(scores.values())))
    for recipe, results in scores.items():
        accuracies, seconds = zip(*results, strict=True)
        spread = stdev(accuracies) if len(results) > 1 else float("nan")
        half = float(t.ppf(0.975, max(len(results) - 1, 1))) * spread / math.sqrt(len(results))
        low, high = mean(accuracies) - half, mean(accuracies) + half
        lines.append(
            f"| {recipe} | {mean(accuracies):.2%} ± {spread:.2%} ({low:.2%} to {high:.2%}) | {len(results)} "
            f"| {median(seconds):.1f} | {reference / median(seconds):.2f} × |"
        )
    return "\n".join(lines)


def machine() -> str:
    """What the figures were measured on."""
    libraries = ", ".join(f"{name} {version(name)}" for name in ("keras", "tensorflow", "numpy"))
    return (
        f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}, "
        f"{libraries}; {datetime.now(UTC):%Y-%m-%d}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipes", default=",".join(RECIPES))
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="also write every seed's figures here")
    arguments = parser.parse_args()
    scores = measure(arguments.recipes.split(","), arguments.dataset, arguments.seeds)
    print(f"{table(scores)}\n\n{machine()}")  # noqa: T201
    if arguments.json:
        arguments.json.write_text(json.dumps({"machine": machine(), "scores": scores}, indent=1))


if __name__ == "__main__":
    main()
