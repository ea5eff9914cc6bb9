"""The steps as Prefect tasks, cached by inputs and source, with results on disk."""

import os
import sys
from pathlib import Path

from prefect import flow, task
from prefect.cache_policies import INPUTS, TASK_SOURCE, CacheKeyFnPolicy
from prefect.locking.filesystem import FileSystemLockManager
from prefect.transactions import IsolationLevel
from work import listed, steps

POLICY = INPUTS + TASK_SOURCE
if listed.IS_LISTED:
    POLICY += CacheKeyFnPolicy(cache_key_fn=lambda context, parameters: listed.version())
if "PEERS_LOCKED" in os.environ:
    POLICY = POLICY.configure(
        isolation_level=IsolationLevel.SERIALIZABLE, lock_manager=FileSystemLockManager(Path("locks").absolute())
    )


@task(cache_policy=POLICY, persist_result=True)
def download(folder: str) -> steps.Raw:
    return steps.download(folder)


@task(cache_policy=POLICY, persist_result=True)
def validate(raw: steps.Raw) -> steps.Raw:
    return steps.validate(raw)


@task(cache_policy=POLICY, persist_result=True)
def normalise(raw: steps.Raw) -> steps.Pair:
    # the images as the network takes them
    return steps.normalise(raw)


@task(cache_policy=POLICY, persist_result=True)
def one_hot(raw: steps.Raw) -> steps.Pair:
    return steps.one_hot(raw)


@task(cache_policy=POLICY, persist_result=True)
def train(images: steps.Pair, targets: steps.Pair, epochs: int, seed: int) -> steps.Weights:
    return steps.train(images, targets, epochs, seed)


@task(cache_policy=POLICY, persist_result=True)
def evaluate(weights: steps.Weights, images: steps.Pair, targets: steps.Pair) -> float:
    return steps.evaluate(weights, images, targets)


@task(cache_policy=POLICY, persist_result=True)
def save(weights: steps.Weights, accuracy: float) -> str:
    return steps.save(weights, accuracy, "out/saved")


@flow
def digits(seed: int) -> str:
    valid = validate(download("data"))
    images, targets = normalise(valid), one_hot(valid)
    weights = train(images, targets, 10, seed)
    return save(weights, evaluate(weights, images, targets))


if __name__ == "__main__":
    digits(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
