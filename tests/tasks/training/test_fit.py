"""A network learns from its training images, and an error says why it cannot."""

import os
import random
import subprocess
import sys
import threading

import numpy as np
import pytest
from sklearn.datasets import load_digits

from artifacts.errors import TrainingDiverged
from artifacts.lineage.progress import listening
from tasks.evaluation.metrics import measure
from tasks.model.forward import predict_probabilities
from tasks.model.hyperparameters import Hyperparameters
from tasks.model.network import build_network
from tasks.training.fit import fit_network
from tests.tasks.conftest import Lesson

WITH_JAX = """
import jax
import numpy as np
from sklearn.datasets import load_digits
from tasks.model.forward import predict_probabilities
from tasks.model.network import compile_for_training
from tasks.training.fit import fit_network
from tests.tasks.training.test_train import HARD

pixels, labels = load_digits(return_X_y=True)
images = (pixels / 16 - 0.5).astype(np.float32).reshape(-1, 8, 8, 1)
hp = HARD.model_copy(update={"epochs": 3, "batch_size": 63, "dropout": 0, "rotation": 5, "shift": 0.3})
network, _ = fit_network(images[:1449], np.eye(10, dtype=np.float32)[labels[:1449]], hp, seed=0)
compile_for_training(network, hp, 23)
assert network.jit_compile, "each step would be interpreted, which takes three times as long"
print(len(jax.devices()), (predict_probabilities(network, images[1500:]).argmax(axis=1) == labels[1500:]).mean())
"""


def test_one_epoch_lowers_the_loss(lesson: Lesson) -> None:
    """One epoch lowers the loss on the 64 digits below that of the untrained network of the same seed."""
    images, targets = lesson.store.get(lesson.images.train), lesson.store.get(lesson.targets.train)
    hp, labels = lesson.hyperparameters.model_copy(update={"epochs": 1}), targets.argmax(axis=1).astype(np.uint8)
    untrained = build_network(hp, images.shape[1:], targets.shape[1], seed=1)
    network, _ = fit_network(images, targets, hp, seed=1)
    before, after = (measure(predict_probabilities(n, images), labels).loss for n in (untrained, network))
    assert after < before


@pytest.mark.parametrize(("factor", "rate"), [(np.nan, 0.01), (1e30, 10)])
def test_divergence_is_an_error(factor: float, rate: float, lesson: Lesson) -> None:
    """A loss that is not finite ends the training with an error, which says the epoch and what to do."""
    images, targets = lesson.store.get(lesson.images.train), lesson.store.get(lesson.targets.train)
    hp = Hyperparameters(epochs=3, batch_size=16, learning_rate=rate, schedule="constant")
    with pytest.raises(TrainingDiverged, match=r"the loss became \w+ in epoch \d; lower --learning-rate"):
        fit_network(images * np.float32(factor), targets, hp, seed=0)


def test_balanced_classes() -> None:
    """A class of which there are few images is recognised if all classes weigh the same, and hardly if they do not."""
    pixels, labels = load_digits(return_X_y=True)
    images = (pixels / 16 - 0.5).astype(np.float32).reshape(-1, 8, 8, 1)
    rare = np.flatnonzero(labels == 8)
    learned = np.setdiff1d(np.arange(len(labels)), rare[10:])
    targets = np.eye(10, dtype=np.float32)[labels[learned]]
    recalls = []
    for weight in ("none", "balanced"):
        hp = Hyperparameters(epochs=4, batch_size=64, class_weight=weight)
        network, _ = fit_network(images[learned], targets, hp, seed=0)
        recalls.append((predict_probabilities(network, images[rare[10:]]).argmax(axis=1) == 8).mean())
    assert recalls[1] > recalls[0] + 0.2, recalls


def test_progress_is_reported(lesson: Lesson) -> None:
    """Each epoch reports its number, the number of all epochs, and the loss that the history has."""
    heard: list[dict[str, float]] = []
    images, targets = lesson.store.get(lesson.images.train), lesson.store.get(lesson.targets.train)
    with listening(lambda step, numbers: heard.append(numbers)):
        _, history = fit_network(images, targets, lesson.hyperparameters, seed=1)
    epochs = [numbers for numbers in heard if "accuracy" in numbers]
    assert [(numbers["done"], numbers["total"]) for numbers in epochs] == [(1, 2), (2, 2)]
    assert [numbers["loss"] for numbers in epochs] == history["loss"]


def test_other_threads_do_not_matter(lesson: Lesson) -> None:
    """Training does not use Python's global generator, which other threads may use at the same time."""
    done = threading.Event()
    thread = threading.Thread(target=lambda: [random.random() for _ in iter(done.is_set, True)])
    thread.start()
    try:
        images, targets = lesson.store.get(lesson.images.train), lesson.store.get(lesson.targets.train)
        runs = [fit_network(images, targets, lesson.hyperparameters, seed=1)[0].get_weights() for _ in range(2)]
    finally:
        done.set()
        thread.join()
    for first, other in zip(*runs, strict=True):
        np.testing.assert_array_equal(first, other)


@pytest.mark.slow
def test_jax() -> None:
    """With KERAS_BACKEND=jax the same code learns the digits on two devices, among which each batch is divided."""
    environment = os.environ | {
        "KERAS_BACKEND": "jax",
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": "--xla_force_host_platform_device_count=2",
    }
    run = subprocess.run([sys.executable, "-c", WITH_JAX], env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    devices, accuracy = run.stdout.split()
    assert int(devices) == 2 and float(accuracy) > 0.7
