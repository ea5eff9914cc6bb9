"""Weights are saved only if a fresh process, given raw pixels, predicts with them what was evaluated."""

import numpy as np
import pytest

from artifacts.errors import ArtifactLost
from artifacts.storage.store import Ref
from tasks.evaluation.gate import SmokeTest
from tasks.evaluation.save_weights import Saved, save_weights
from tasks.model.forward import predict
from tasks.model.hyperparameters import Hyperparameters
from tests.tasks.conftest import Lesson


def save(
    lesson: Lesson, weights: Ref, hyperparameters: Hyperparameters | None = None, guesses: Ref | None = None
) -> Saved:
    hp = hyperparameters or lesson.hyperparameters
    return save_weights.fn(weights, lesson.data.test.images, guesses or lesson.scored.probabilities, hp, lesson.store)


def test_good_weights_pass(lesson: Lesson) -> None:
    """Weights that predict as they did come back as they are, with their size and speed."""
    saved = save(lesson, lesson.trained.weights)
    measured = SmokeTest.model_validate(lesson.store.get_json(saved.rehearsal))
    assert saved.weights == lesson.trained.weights
    assert measured.weights_bytes == lesson.store.path(saved.weights).stat().st_size
    assert measured.latency_ms > 0 and measured.throughput > 0


@pytest.mark.parametrize("shift", [1e-3, np.nan])
def test_other_predictions_are_refused(shift: float, lesson: Lesson) -> None:
    """Weights that predict otherwise, or no number at all, than when they were evaluated are refused."""
    guesses = lesson.store.put(lesson.store.get(lesson.scored.probabilities) + np.float32(shift))
    with pytest.raises(ArtifactLost, match="predict otherwise in a fresh process"):
        save(lesson, lesson.trained.weights, guesses=guesses)


def test_forgotten_normalisation_is_found(lesson: Lesson) -> None:
    """If training saw other pixels than production will, the predictions differ, and the weights are refused."""
    raw = lesson.store.get(lesson.data.test.images)[..., None].astype("float32")  # never rescaled
    wrong = lesson.store.put(predict(lesson.trained.weights, raw, 10, lesson.hyperparameters, lesson.store))
    with pytest.raises(ArtifactLost, match="predict otherwise in a fresh process"):
        save(lesson, lesson.trained.weights, guesses=wrong)


@pytest.mark.parametrize("cut", [0, -100])
def test_files_that_are_no_weights_are_refused(cut: int, lesson: Lesson) -> None:
    """A file that was stored broken is refused, wherever it ends, and the error says how it failed."""
    data = lesson.store.path(lesson.trained.weights).read_bytes()[:cut]
    with pytest.raises(ArtifactLost, match=r"fail in a fresh process: .*do not fit the network"):
        save(lesson, lesson.store.put_bytes(data, "weights.h5"))


@pytest.mark.parametrize("change", [{"filters": (4, 9)}, {"activation": "tanh"}])
def test_other_architectures_are_refused(change: dict[str, object], lesson: Lesson) -> None:
    """Weights of another network are refused, whether its shapes differ or only what it computes."""
    with pytest.raises(ArtifactLost, match=r"do not fit the network|predict otherwise"):
        save(lesson, lesson.trained.weights, lesson.hyperparameters.model_copy(update=change))


def test_truncation_after_storing_is_refused(lesson: Lesson) -> None:
    """A weights file that was truncated since it was stored is refused before it is read."""
    data = lesson.store.path(lesson.trained.weights).read_bytes()
    weights = lesson.store.put_bytes(data + b" ", "weights.h5")
    lesson.store.path(weights).write_bytes(data[:1000])
    with pytest.raises(ArtifactLost, match="damaged"):
        save(lesson, weights)
