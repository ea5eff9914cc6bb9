"""The steps as a ZenML pipeline with its step cache."""

import sys

from work import listed, steps
from zenml import pipeline, step
from zenml.config.cache_policy import CachePolicy

POLICY = CachePolicy(file_dependencies=listed.FILES) if listed.IS_LISTED else CachePolicy()


@step(cache_policy=POLICY)
def download(folder: str) -> tuple:
    return steps.download(folder)


@step(cache_policy=POLICY)
def validate(raw: tuple) -> tuple:
    return steps.validate(raw)


@step(cache_policy=POLICY)
def normalise(raw: tuple) -> tuple:
    # the images as the network takes them
    return steps.normalise(raw)


@step(cache_policy=POLICY)
def one_hot(raw: tuple) -> tuple:
    return steps.one_hot(raw)


@step(cache_policy=POLICY)
def train(images: tuple, targets: tuple, epochs: int, seed: int) -> list:
    return steps.train(images, targets, epochs, seed)


@step(cache_policy=POLICY)
def evaluate(weights: list, images: tuple, targets: tuple) -> float:
    return steps.evaluate(weights, images, targets)


@step(cache_policy=POLICY)
def save(weights: list, accuracy: float) -> str:
    return steps.save(weights, accuracy, "out/saved")


@pipeline(enable_cache=True)
def digits(seed: int):
    valid = validate(download("data"))
    images, targets = normalise(valid), one_hot(valid)
    weights = train(images, targets, 10, seed)
    save(weights, evaluate(weights, images, targets))


if __name__ == "__main__":
    digits(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
