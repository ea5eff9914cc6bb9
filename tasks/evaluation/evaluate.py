"""Measure trained networks on the test images, which no earlier step reads."""

import numpy as np
from pydantic import BaseModel

from artifacts.storage.store import Ref, Store
from tasks.caching import step
from tasks.evaluation.metrics import measure
from tasks.model.forward import load_and_predict
from tasks.model.hyperparameters import Hyperparameters


class Scored(BaseModel, frozen=True):
    """An `Evaluation` as JSON, and the probabilities (n, classes) float32 that it was computed from."""

    evaluation: Ref
    probabilities: Ref


@step("evaluate", shaped_by=("keras", "backend", "numpy"))
def evaluate(weights: Ref, images: Ref, targets: Ref, *, hyperparameters: Hyperparameters, store: Store) -> Scored:
    """Predict images (n, height, width, 1) with the stored weights and score them against targets (n, classes)."""
    truth = store.get(targets)
    probabilities = load_and_predict(
        weights, store.get(images), truth.shape[1], hyperparameters=hyperparameters, store=store
    )
    evaluation = measure(probabilities, truth.argmax(axis=1).astype(np.uint8))
    return Scored(evaluation=store.put_json(evaluation.model_dump(mode="json")), probabilities=store.put(probabilities))


@step("evaluate-champion", shaped_by=("keras", "backend", "numpy"))
def evaluate_champion(
    weights: Ref | None, images: Ref, targets: Ref, *, hyperparameters: Hyperparameters | None, store: Store
) -> Ref | None:
    """The champion's probabilities (n, classes) for images (n, height, width, 1); None without a champion."""
    if weights is None or hyperparameters is None:
        return None
    classes = targets.shape[1]
    return store.put(
        load_and_predict(weights, store.get(images), classes, hyperparameters=hyperparameters, store=store)
    )
