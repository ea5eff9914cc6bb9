"""Weights are saved only if, read back, they are the model that was evaluated."""

import numpy as np
import pytest

from artifacts.errors import ArtifactLost
from artifacts.hyperparameters import Hyperparameters
from artifacts.store import Ref
from tasks.save import save_weights
from tests.tasks.conftest import Lesson


def save(lesson: Lesson, weights: Ref, hyperparameters: Hyperparameters | None = None, shift: float = 0) -> Ref:
    guesses = lesson.store.put(lesson.store.get(lesson.scored.probabilities) + np.float32(shift))
    hp = hyperparameters or lesson.hyperparameters
    return save_weights.fn(weights, lesson.images.test, guesses, hp, lesson.store)


def test_good_weights_pass(lesson: Lesson) -> None:
    """Weights that predict as they did come back as they are."""
    assert save(lesson, lesson.trained.weights) == lesson.trained.weights


@pytest.mark.parametrize("shift", [1e-3, np.nan])
def test_other_predictions_are_refused(shift: float, lesson: Lesson) -> None:
    """Weights that predict otherwise, or no number at all, than when they were evaluated are refused."""
    with pytest.raises(ArtifactLost, match="predict otherwise once reloaded"):
        save(lesson, lesson.trained.weights, shift=shift)


@pytest.mark.parametrize("cut", [0, 100, -100])
def test_files_that_are_no_weights_are_refused(cut: int, lesson: Lesson) -> None:
    """A file that was stored broken is refused, wherever it ends."""
    data = lesson.store.path(lesson.trained.weights).read_bytes()[:cut]
    with pytest.raises(ArtifactLost, match="do not fit the network"):
        save(lesson, lesson.store.put_bytes(data, "weights.h5"))


@pytest.mark.parametrize(
    "change", [{"filters": (4, 9)}, {"kernel_size": (2,)}, {"dense": (10,)}, {"activation": "tanh"}]
)
def test_other_architectures_are_refused(change: dict[str, object], lesson: Lesson) -> None:
    """Weights of another network are refused, whether its shapes differ or only what it computes."""
    with pytest.raises(ArtifactLost, match=r"do not fit the network|predict otherwise"):
        save(lesson, lesson.trained.weights, lesson.hyperparameters.model_copy(update=change))


def test_damage_after_storing_is_refused(lesson: Lesson) -> None:
    """A file that changed since it was stored is refused before it is read."""
    weights = lesson.store.put_bytes(b"sound", "weights.h5")
    lesson.store.path(weights).write_bytes(b"rotten")
    with pytest.raises(ArtifactLost, match="damaged"):
        save(lesson, weights)
