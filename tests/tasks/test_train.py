"""Training learns, repeats itself exactly, and says when it cannot go on."""

import random
import threading

import numpy as np
import pytest

from artifacts.errors import TrainingDiverged
from artifacts.evaluation import measure
from artifacts.hyperparameters import Hyperparameters
from artifacts.network import build
from artifacts.prediction import predict, probabilities
from artifacts.progress import listening
from tasks.train import fit, train
from tests.tasks.conftest import Lesson


def test_one_epoch_lowers_the_loss(lesson: Lesson) -> None:
    """After one epoch, the loss on the 64 digits is below that of the untrained network of the same seed."""
    images, targets = lesson.store.get(lesson.images.train), lesson.store.get(lesson.targets.train)
    hp, labels = lesson.hyperparameters.model_copy(update={"epochs": 1}), targets.argmax(axis=1).astype(np.uint8)
    untrained = build(hp, images.shape[1:], targets.shape[1], 1)
    network, _ = fit(images, targets, hp, seed=1)
    before, after = (measure(probabilities(n, images), labels).loss for n in (untrained, network))
    assert after < before


def test_seed_decides_every_byte(lesson: Lesson) -> None:
    """The same seed gives the same weights to the last byte and the same history; another seed gives others."""
    again, other = (
        train.fn(lesson.images.train, lesson.targets.train, lesson.hyperparameters, seed, lesson.store)
        for seed in (1, 2)
    )
    assert again == lesson.trained
    assert other.weights != lesson.trained.weights and other.history != lesson.trained.history


def test_history_has_each_epoch(lesson: Lesson) -> None:
    """Loss and accuracy have one value an epoch; the last accuracy is that of the stored weights."""
    history = lesson.store.get_json(lesson.trained.history)
    assert {name: len(values) for name, values in history.items()} == {"loss": 2, "accuracy": 2}
    images, targets = lesson.store.get(lesson.images.train), lesson.store.get(lesson.targets.train)
    guesses = predict(lesson.trained.weights, images, targets.shape[1], lesson.hyperparameters, lesson.store)
    assert history["accuracy"][-1] == (guesses.argmax(axis=1) == targets.argmax(axis=1)).mean()


@pytest.mark.parametrize(("factor", "rate"), [(np.nan, 0.01), (1e30, 10)])
def test_divergence_is_an_error(factor: float, rate: float, lesson: Lesson) -> None:
    """A loss that is not finite ends training with the epoch and a remedy."""
    images, targets = lesson.store.get(lesson.images.train), lesson.store.get(lesson.targets.train)
    hp = Hyperparameters(epochs=3, batch_size=16, learning_rate=rate, schedule="constant")
    with pytest.raises(TrainingDiverged, match=r"the loss became \w+ in epoch \d; lower --learning-rate"):
        fit(images * np.float32(factor), targets, hp, seed=0)


def test_progress_is_told(lesson: Lesson) -> None:
    """Each epoch is told with its number, of how many, and what the history says of it."""
    heard: list[dict[str, float]] = []
    images, targets = lesson.store.get(lesson.images.train), lesson.store.get(lesson.targets.train)
    with listening(lambda step, facts: heard.append(facts)):
        _, history = fit(images, targets, lesson.hyperparameters, seed=1)
    epochs = [facts for facts in heard if "accuracy" in facts]
    assert [(facts["done"], facts["total"]) for facts in epochs] == [(1, 2), (2, 2)]
    assert [facts["loss"] for facts in epochs] == history["loss"]


def test_other_threads_do_not_matter(lesson: Lesson) -> None:
    """Training draws nothing from Python's global generator, which other threads use meanwhile."""
    done = threading.Event()
    thread = threading.Thread(target=lambda: [random.random() for _ in iter(done.is_set, True)])
    thread.start()
    try:
        images, targets = lesson.store.get(lesson.images.train), lesson.store.get(lesson.targets.train)
        found = [fit(images, targets, lesson.hyperparameters, 1)[0].get_weights() for _ in range(3)]
    finally:
        done.set()
        thread.join()
    for weights in found[1:]:
        for first, other in zip(found[0], weights, strict=True):
            np.testing.assert_array_equal(first, other)
