"""Training learns, repeats itself exactly, and says when it cannot go on."""

import contextlib
import os
import random
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from artifacts.errors import TrainingDiverged
from artifacts.lineage.progress import listening
from artifacts.storage.store import Store
from tasks.evaluation.metrics import measure
from tasks.model.forward import predict, probabilities
from tasks.model.hyperparameters import Hyperparameters
from tasks.model.network import build
from tasks.training.checkpoints import Checkpoints, kept_in
from tasks.training.fit import fit
from tasks.training.train import Trained, train
from tests.tasks.conftest import Lesson

WITH_JAX = """
import jax
from sklearn.datasets import load_digits
from tests.tasks.training.test_train import *

pixels, labels = load_digits(return_X_y=True)
images = (pixels / 16 - 0.5).astype(np.float32).reshape(-1, 8, 8, 1)
hp = HARD.model_copy(update={"epochs": 5, "batch_size": 63, "dropout": 0, "rotation": 5, "shift": 0.3})
network, _ = fit(images[:1500], np.eye(10, dtype=np.float32)[labels[:1500]], hp, 0)
print(len(jax.devices()), (probabilities(network, images[1500:]).argmax(axis=1) == labels[1500:]).mean())
"""


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


HARD = Hyperparameters(
    filters=(4, 8), padding=("same",), batch_norm=True, dropout=0.3, rotation=10, shift=1, epochs=4, batch_size=2
)
KILLED_AT = """
import os, sys
from pathlib import Path
from tasks.training import checkpoints
from artifacts.lineage.progress import listening
from tasks.training.train import Trained
from artifacts.storage.store import Store
from tests.tasks.training.test_train import learn

checkpoints.EVERY = 0  # after each batch
done = float(sys.argv[2])
with listening(lambda step, facts: facts["done"] >= done and os.kill(os.getpid(), 9)):
    learn(Store(Path(sys.argv[1])))
"""


def learn(store: Store) -> Trained:
    images, targets = (store.put(array) for array in small())
    with kept_in(Checkpoints(store, "key")):
        return train.fn(images, targets, HARD, 3, store)


def small() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    images = random.uniform(-0.5, 0.5, (400, 8, 8, 1)).astype(np.float32)
    return images, np.eye(3, dtype=np.float32)[random.integers(0, 3, 400)]


@pytest.mark.parametrize("done", [2.25, 1.5])
def test_killed_training_goes_on(done: float, store: Store, tmp_path: Path) -> None:
    """Killed with SIGKILL at the start of an epoch or within one, training goes on from there and ends in the same
    bytes, with moments, dropout, augmentation and normalisation; the checkpoint is gone then."""
    store.home.mkdir()
    killed = subprocess.run([sys.executable, "-c", KILLED_AT, store.home, str(done)], check=False)
    assert killed.returncode == -9
    heard: list[float] = []
    with listening(lambda step, facts: heard.append(facts["done"])):
        resumed = learn(store)
    whole = learn(Store(tmp_path / "other"))
    assert min(heard) > done - 0.1
    assert resumed.weights == whole.weights
    assert store.get_json(resumed.history)["accuracy"] == store.get_json(whole.history)["accuracy"]
    assert not list((store.home / "checkpoints").iterdir())


def test_checkpoint_outlives_an_error(store: Store) -> None:
    """What fails after training, before the result is remembered, leaves the checkpoint; success drops it."""
    checkpoints, (images, targets) = Checkpoints(store, "key"), small()
    for fails in (True, False):
        with contextlib.suppress(OSError), kept_in(checkpoints):
            fit(images, targets, HARD, 3, checkpoints)
            if fails:
                raise OSError("the disk is full")
        assert (store.home / checkpoints.name).exists() == fails


@pytest.mark.parametrize("damage", ["truncate", "flip", "other"])
def test_unsound_checkpoint_is_ignored(
    damage: str, store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A checkpoint that is cut, damaged or another network's is ignored with a warning, and training starts anew."""
    kept, (images, targets) = Checkpoints(store, "key"), small()
    expected, _ = fit(images, targets, HARD, 3, kept)
    path = store.home / kept.name
    content = bytearray(path.read_bytes())
    if damage == "truncate":
        path.write_bytes(content[:-9])
    elif damage == "flip":
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    else:
        fit(images, targets, HARD.model_copy(update={"filters": (4, 9)}), 3, kept)
    found, history = fit(images, targets, HARD, 3, kept)
    assert "ignored checkpoint" in caplog.text and len(history["loss"]) == 4
    for weight, other in zip(found.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, other)


def test_two_processes_agree(store: Store, tmp_path: Path) -> None:
    """Another process of the same machine gives the same bytes, with every kind of layer."""
    learned = "print(learn(Store(Path(sys.argv[1]))).weights.sha256)"
    script = f"import sys; from tests.tasks.training.test_train import *; {learned}"
    run = subprocess.run([sys.executable, "-c", script, tmp_path], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == learn(store).weights.sha256


def test_jax() -> None:
    """With KERAS_BACKEND=jax the same code learns the digits, on two devices that share each batch."""
    environment = os.environ | {
        "KERAS_BACKEND": "jax",
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": "--xla_force_host_platform_device_count=2",
    }
    run = subprocess.run([sys.executable, "-c", WITH_JAX], env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    devices, accuracy = run.stdout.split()
    assert int(devices) == 2 and float(accuracy) > 0.7
