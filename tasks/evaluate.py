"""Measure trained networks on the test images, which nothing before has seen."""

import numpy as np

from artifacts.datasets import Split
from artifacts.evaluation import measure
from artifacts.hyperparameters import Hyperparameters
from artifacts.prediction import predict, rescale
from artifacts.results import Scored
from artifacts.significance import discordant
from artifacts.store import Ref, Store
from tasks.caching import step


@step("evaluate", shaped_by=("keras", "backend", "numpy", "scikit-learn", "scipy"))
def evaluate(weights: Ref, images: Ref, targets: Ref, hyperparameters: Hyperparameters, store: Store) -> Scored:
    """Predict images (n, height, width, 1) with the stored weights and score them against targets (n, classes)."""
    truth = store.get(targets)
    probabilities = predict(weights, store.get(images), truth.shape[1], hyperparameters, store)
    evaluation = measure(probabilities, truth.argmax(axis=1).astype(np.uint8))
    return Scored(evaluation=store.put_json(evaluation.model_dump(mode="json")), probabilities=store.put(probabilities))


@step("evaluate-champion", shaped_by=("keras", "backend", "numpy"))
def evaluate_champion(
    weights: Ref | None, images: Ref, targets: Ref, hyperparameters: Hyperparameters | None, store: Store
) -> Ref | None:
    """Probabilities (n, classes) that the champion, if there is one, gives the same images (n, height, width, 1)."""
    if weights is None or hyperparameters is None:
        return None
    return store.put(predict(weights, store.get(images), targets.shape[1], hyperparameters, store))


@step("evaluate-fresh", shaped_by=("keras", "backend", "numpy"))
def evaluate_fresh(
    weights: Ref,
    hyperparameters: Hyperparameters,
    champion: Ref | None,
    champions: Hyperparameters | None,
    fresh: Split,
    classes: int,
    store: Store,
) -> Ref | None:
    """Of held-out new images (n, height, width), how many only the candidate got right, how many only the champion, and
    n, as JSON; nothing without a champion.
    """
    if champion is None or champions is None:
        return None
    images, labels = rescale(store.get(fresh.images)), store.get(fresh.labels)
    ours = predict(weights, images, classes, hyperparameters, store)
    theirs = predict(champion, images, classes, champions, store)
    return store.put_json(discordant(ours, theirs, labels))
