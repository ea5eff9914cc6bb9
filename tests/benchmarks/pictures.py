"""What a model reads in pictures as people bring them: how much is right, unsure, refused, and surely wrong, by layout.

    DIGITFLOW_TEST_MNIST=FOLDER python -m tests.benchmarks.pictures
    DIGITFLOW_TEST_MNIST=FOLDER python -m tests.benchmarks.pictures --held-out --only desk shadow   # to tune rules on

A model, by default a `fast` one, learns from the first 55,000 training images of MNIST. The digits are test images,
laid out anew as in tests/layouts; with --held-out, the last 5,000 training images, so that no rule is tuned on test
images.
"""

import argparse
import gzip
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from artifacts.errors import BadSource
from tasks.data.images import GreyImage, rescale
from tasks.model.recipes import Recipe
from tasks.pictures.conventions import Conventions
from tasks.pictures.model_input import to_model_input
from tasks.pictures.training_layout import measure_conventions
from tests.layouts.pages import KINDS
from tests.layouts.refused import REFUSED

LEARNED = 55_000
SURE = 0.99


class Counts(NamedTuple):
    """Of one layout: pictures, those read rightly, those refused, those below the limit, and of these the wrong ones;
    wrong answers above SURE; and milliseconds a picture.
    """

    pictures: int
    right: int
    refused: int
    unsure: int
    unsure_and_wrong: int
    surely_wrong: int
    milliseconds: float


def load(folder: Path) -> Iterator[np.ndarray]:
    """Training images and labels, test images and labels."""
    for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        content = gzip.decompress((folder / f"{name}-ubyte.gz").read_bytes())
        is_images = name.endswith("3")
        values = np.frombuffer(content, np.uint8, offset=16 if is_images else 8)
        yield values.reshape(-1, 28, 28) if is_images else values


class Reader:
    """A model of a recipe, and how its training images lie."""

    def __init__(self, images: np.ndarray, labels: np.ndarray, recipe: Recipe):
        from tasks.model.recipes import choose
        from tasks.training.fit import fit_network

        targets = np.eye(10, dtype=np.float32)[labels]
        self._network, _ = fit_network(rescale(images), targets, choose(recipe, "mnist"), seed=0)
        self.conventions: Conventions = measure_conventions(images)

    def count(self, pictures: Sequence[np.ndarray], labels: Sequence[int | None], unsure_below: float) -> Counts:
        """What the model reads in the pictures. A label of None: it is right to refuse the picture."""
        from tasks.model.forward import predict_probabilities

        inputs, truths, refusals = [], [], []
        started = time.perf_counter()
        for picture, label in zip(pictures, labels, strict=True):
            try:
                inputs.append(to_model_input(GreyImage(picture, ()), (28, 28), self.conventions).pixels)
                truths.append(-1 if label is None else label)
            except BadSource:
                refusals.append(label)
        seconds = time.perf_counter() - started
        rows = predict_probabilities(self._network, rescale(np.stack(inputs))) if inputs else np.zeros((0, 10))
        is_right, sure = rows.argmax(axis=1) == np.array(truths, int), rows.max(axis=1, initial=0)
        return Counts(
            len(pictures),
            int(is_right.sum()) + refusals.count(None),
            len(refusals),
            int((sure < unsure_below).sum()),
            int((~is_right & (sure < unsure_below)).sum()),
            int((~is_right & (sure > SURE)).sum()),
            1000 * seconds / len(pictures),
        )


def line(name: str, counts: Counts) -> str:
    """A row of the table."""
    of = counts.pictures
    wrong = of - counts.right - counts.refused
    caught = f"{counts.unsure_and_wrong} of {wrong}" if wrong > 0 else "–"
    shares = " | ".join(f"{count / of:.1%}" for count in (counts.right, counts.refused, counts.unsure))
    return f"| {name} | {of:,} | {shares} | {caught} | {counts.surely_wrong} | {counts.milliseconds:.1f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=1000, help="of each layout; fewer of those that are large")
    parser.add_argument("--recipe", default="fast")
    parser.add_argument("--unsure-below", type=float, default=0.8)
    parser.add_argument("--held-out", action="store_true", help="lay out training images that the model does not know")
    parser.add_argument("--only", nargs="*", default=[], help="parts of the names of layouts")
    arguments = parser.parse_args()
    train, labels, test, truths = load(Path(os.environ["DIGITFLOW_TEST_MNIST"]))
    reader = Reader(train[:LEARNED], labels[:LEARNED], arguments.recipe)
    if arguments.held_out:
        test, truths = train[LEARNED:], labels[LEARNED:]
    print("| layout | pictures | right | refused | unsure | caught | wrong above 99% | ms |")
    print("|---|---|---|---|---|---|---|---|")
    for kind in KINDS:
        if not arguments.only or any(part in kind.name for part in arguments.only):
            count = max(10, round(arguments.pictures * kind.share))
            pictures = [kind.layout(test[i], np.random.default_rng(i)) for i in range(count)]
            print(line(kind.name, reader.count(pictures, truths[:count].tolist(), arguments.unsure_below)), flush=True)
    for refused in REFUSED:
        if not arguments.only or any(part in refused.name for part in arguments.only):
            several = [test[i : i + refused.digits] for i in range(arguments.pictures // 3)]
            pictures = [refused.layout(inks, np.random.default_rng(i)) for i, inks in enumerate(several)]
            print(
                line(refused.name, reader.count(pictures, [None] * len(pictures), arguments.unsure_below)), flush=True
            )


if __name__ == "__main__":
    main()
