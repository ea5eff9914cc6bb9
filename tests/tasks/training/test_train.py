"""Training gives the same bytes for the same arguments, and continues after a kill."""

import contextlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from artifacts.lineage.progress import listening
from artifacts.storage.remote import Remote
from artifacts.storage.store import Store
from tasks.caching import _resumable as resumable
from tasks.model.forward import load_and_predict
from tasks.model.hyperparameters import Hyperparameters
from tasks.training.train import Trained, train
from tests.tasks.conftest import Lesson


def test_seed_decides_every_byte(lesson: Lesson) -> None:
    """The same seed gives the same weights to the last byte and the same history; another seed gives others."""
    again, other = (
        train.fn(lesson.images.train, lesson.targets.train, lesson.hyperparameters, seed=seed, store=lesson.store)
        for seed in (1, 2)
    )
    assert again == lesson.trained
    assert other.weights != lesson.trained.weights and other.history != lesson.trained.history


def test_history_has_each_epoch(lesson: Lesson) -> None:
    """Loss and accuracy have one value per epoch; the last accuracy is that of the stored weights."""
    history = lesson.store.get_json(lesson.trained.history)
    assert {name: len(values) for name, values in history.items()} == {"loss": 2, "accuracy": 2}
    images, targets = lesson.store.get(lesson.images.train), lesson.store.get(lesson.targets.train)
    hp, weights = lesson.hyperparameters, lesson.trained.weights
    probabilities = load_and_predict(weights, images, targets.shape[1], hyperparameters=hp, store=lesson.store)
    assert history["accuracy"][-1] == (probabilities.argmax(axis=1) == targets.argmax(axis=1)).mean()


HARD = Hyperparameters(
    filters=(4, 8),
    padding=("same",),
    separable=True,
    batch_norm=True,
    dropout=0.3,
    ensemble=2,
    rotation=10,
    shift=1,
    elastic=0.3,
    epochs=4,
    batch_size=2,
)


def learn(store: Store, key: str = "") -> Trained:
    """Train, as a step in a run does if its call has a key, under which it may resume."""
    images, targets = (store.put(array) for array in small())
    with resumable(store, key) if key else contextlib.nullcontext():
        return train.fn(images, targets, HARD, seed=3, store=store)


def small() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    images = random.uniform(-0.5, 0.5, (200, 8, 8, 1)).astype(np.float32)
    return images, np.eye(3, dtype=np.float32)[random.integers(0, 3, 200)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, Trained]:
    """What is learned without a break."""
    store = Store(tmp_path_factory.mktemp("whole"))
    return store, learn(store)


KILLED_AT = """
import os, sys
from pathlib import Path
from tasks.training import checkpoints
from artifacts.lineage.progress import listening
from artifacts.storage.remote import Remote
from artifacts.storage.store import Store
from tests.tasks.training.test_train import learn

checkpoints.INTERVAL = 0  # after each batch
home, done, remote = Path(sys.argv[1]), float(sys.argv[2]), [Remote(url) for url in sys.argv[3:]]
with listening(lambda step, numbers: numbers["done"] >= done and os.kill(os.getpid(), 9)):
    learn(Store(home, *remote), "key")
"""


@pytest.mark.parametrize("done", [2.25, 1.5])
def test_killed_training_continues(done: float, store: Store, whole: tuple[Store, Trained]) -> None:
    """Killed with SIGKILL at the start of an epoch or within one, training continues from there and ends in the same
    bytes, with moments, dropout, augmentation and normalisation; the checkpoint is gone then."""
    store.home.mkdir()
    killed = subprocess.run([sys.executable, "-c", KILLED_AT, store.home, str(done)], check=False)
    assert killed.returncode == -9
    reported: list[float] = []
    with listening(lambda step, numbers: reported.append(numbers["done"])):
        resumed = learn(store, "key")
    assert min(reported) > done - 0.1
    there, unbroken = whole
    assert resumed.weights == unbroken.weights
    assert store.get_json(resumed.history)["accuracy"] == there.get_json(unbroken.history)["accuracy"]
    assert not (store.home / "checkpoints" / "key").exists()


def test_another_machine_continues(tmp_path: Path, whole: tuple[Store, Trained]) -> None:
    """When a machine is gone in mid-training, another that shares its store continues from the last checkpoint, to the
    same bytes. The shared checkpoint is gone then."""
    shared = tmp_path / "shared"
    killed = [sys.executable, "-c", KILLED_AT, tmp_path / "gone", "2.25", str(shared)]
    assert subprocess.run(killed, check=False).returncode == -9
    assert [path.name for path in shared.glob("checkpoints/key/*")] == ["checkpoint.npz"]
    reported: list[float] = []
    with listening(lambda step, numbers: reported.append(numbers["done"])):
        resumed = learn(Store(tmp_path / "other", Remote(str(shared))), "key")
    assert min(reported) > 2.2 and resumed.weights == whole[1].weights
    assert not list(shared.glob("checkpoints/key/*"))


def test_the_further_checkpoint_counts(tmp_path: Path, whole: tuple[Store, Trained]) -> None:
    """A machine that comes back with an old checkpoint continues from the newer one in the shared store."""
    shared = str(tmp_path / "shared")
    for home, done in (("back", "1.25"), ("other", "3.25")):
        subprocess.run([sys.executable, "-c", KILLED_AT, tmp_path / home, done, shared], check=False)
    reported: list[float] = []
    with listening(lambda step, numbers: reported.append(numbers["done"])):
        resumed = learn(Store(tmp_path / "back", Remote(shared)), "key")
    assert min(reported) > 3.2 and resumed.weights == whole[1].weights


def test_checkpoint_outlives_an_error(store: Store) -> None:
    """An error after training, before the result is recorded, leaves the checkpoint, and then no epoch is repeated."""
    with pytest.raises(OSError, match="disk"), resumable(store, "key"):
        first = learn(store)
        raise OSError("the disk is full")
    reported: list[float] = []
    with listening(lambda step, numbers: reported.append(numbers["done"])):
        assert learn(store, "key") == first
    assert reported == [] and not (store.home / "checkpoints" / "key").exists()


def test_two_processes_agree(whole: tuple[Store, Trained], tmp_path: Path) -> None:
    """Another process on the same machine gives the same bytes, with every kind of layer."""
    learned = "print(learn(Store(Path(sys.argv[1]))).weights.sha256)"
    script = f"import sys; from tests.tasks.training.test_train import *; {learned}"
    run = subprocess.run([sys.executable, "-c", script, tmp_path], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == whole[1].weights.sha256
