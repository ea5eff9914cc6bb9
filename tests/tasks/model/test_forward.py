"""Stored weights predict the same in every batch size, and only in the network that they belong to."""

import numpy as np
import pytest

from artifacts.errors import ArtifactLost
from tasks.data.images import rescale
from tasks.model.forward import load_and_predict, load_network
from tasks.model.network import build_network
from tests.conftest import Arrays
from tests.tasks.conftest import Lesson


def test_batches_do_not_show(lesson: Lesson, digits: Arrays, monkeypatch: pytest.MonkeyPatch) -> None:
    """Predictions in batches are those of Keras for all images at once."""
    images, hp = rescale(digits[0]), lesson.hyperparameters
    network = build_network(hp, images.shape[1:], 10)
    network.load_weights(lesson.store.path(lesson.trained.weights))
    oracle = network(images).numpy()
    monkeypatch.setattr("tasks.model.forward.BATCH", 400)
    predicted = load_and_predict(lesson.trained.weights, images, 10, hyperparameters=hp, store=lesson.store)
    assert predicted.shape == oracle.shape and np.abs(predicted - oracle).max() < 1e-5


def test_weights_of_another_network_are_refused(lesson: Lesson) -> None:
    """Weights that do not fit the network are an ArtifactLost, which names them."""
    other = lesson.hyperparameters.model_copy(update={"filters": (4, 9)})
    weights = lesson.trained.weights
    with pytest.raises(ArtifactLost, match=f"the weights {weights.sha256[:12]}… do not fit the network"):
        load_network(weights, (8, 8, 1), 10, hyperparameters=other, store=lesson.store)
