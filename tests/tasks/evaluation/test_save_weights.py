"""Weights are saved only if a new process predicts with them from raw pixels what was evaluated."""

import numpy as np
import pytest

from artifacts.errors import ArtifactLost
from artifacts.storage.store import Ref
from tasks.evaluation.gate import SmokeTest
from tasks.evaluation.save_weights import Saved, save_weights
from tasks.model.forward import load_and_predict
from tasks.model.hyperparameters import Hyperparameters
from tasks.pictures.conventions import MNIST
from tasks.pictures.training_layout import measure_conventions
from tests.tasks.conftest import Lesson


def save(
    lesson: Lesson, weights: Ref, hyperparameters: Hyperparameters | None = None, probabilities: Ref | None = None
) -> Saved:
    images, hp = lesson.data.test.images, hyperparameters or lesson.hyperparameters
    expected, trained_on = probabilities or lesson.scored.probabilities, lesson.data.train.images
    return save_weights.fn(weights, images, expected, trained_on=trained_on, hyperparameters=hp, store=lesson.store)


def test_good_weights_pass(lesson: Lesson) -> None:
    """Weights that predict what was evaluated pass, with their size and speed and how the training images lie."""
    saved = save(lesson, lesson.trained.weights)
    measured = SmokeTest.model_validate(lesson.store.get_json(saved.smoke_test))
    assert saved.weights == lesson.trained.weights
    assert measured.weights_bytes == lesson.store.path(saved.weights).stat().st_size
    assert measured.latency_ms > 0 and measured.throughput > 0
    assert saved.conventions == measure_conventions(lesson.store.get(lesson.data.train.images))


@pytest.mark.parametrize("cut", [0, -100])
def test_files_that_are_no_weights_are_refused(cut: int, lesson: Lesson) -> None:
    """A file that was truncated before it was stored is refused, and the error says why."""
    data = lesson.store.path(lesson.trained.weights).read_bytes()[:cut]
    with pytest.raises(ArtifactLost, match=r"fail in a fresh process: .*do not fit the network"):
        save(lesson, lesson.store.put_bytes(data, "weights.h5"))


@pytest.mark.parametrize("change", [{"filters": (4, 9)}, {"activation": "tanh"}])
def test_other_architectures_are_refused(change: dict[str, object], lesson: Lesson) -> None:
    """Weights of another network are refused, whether their shapes differ or only the activation."""
    with pytest.raises(ArtifactLost, match=r"do not fit the network|predict otherwise"):
        save(lesson, lesson.trained.weights, lesson.hyperparameters.model_copy(update=change))


@pytest.mark.usefixtures("smoke_test_here")
@pytest.mark.parametrize("shift", [1e-3, np.nan])
def test_other_predictions_are_refused(shift: float, lesson: Lesson) -> None:
    """Weights that predict other numbers than when they were evaluated, or no numbers, are refused."""
    shifted = lesson.store.put(lesson.store.get(lesson.scored.probabilities) + np.float32(shift))
    with pytest.raises(ArtifactLost, match="predict otherwise in a fresh process"):
        save(lesson, lesson.trained.weights, probabilities=shifted)


@pytest.mark.usefixtures("smoke_test_here")
def test_forgotten_normalisation_is_found(lesson: Lesson) -> None:
    """If training read other pixels than production will, the predictions differ, and the weights are refused."""
    hp = lesson.hyperparameters
    raw = lesson.store.get(lesson.data.test.images)[..., None].astype("float32")  # never rescaled
    wrong = lesson.store.put(load_and_predict(lesson.trained.weights, raw, 10, hyperparameters=hp, store=lesson.store))
    with pytest.raises(ArtifactLost, match="predict otherwise in a fresh process"):
        save(lesson, lesson.trained.weights, probabilities=wrong)


@pytest.mark.usefixtures("smoke_test_here")
def test_truncation_after_storing_is_refused(lesson: Lesson) -> None:
    """A weights file that was truncated after it was stored is refused before it is read."""
    data = lesson.store.path(lesson.trained.weights).read_bytes()
    weights = lesson.store.put_bytes(data + b" ", "weights.h5")
    lesson.store.path(weights).write_bytes(data[:1000])
    with pytest.raises(ArtifactLost, match="damaged"):
        save(lesson, weights)


def test_result_keeps_its_keys(lesson: Lesson) -> None:
    """The result of the step has the JSON keys of the first version, whose results are read as MNIST's conventions."""
    ref = lesson.trained.weights.model_dump(mode="json")
    old = {"weights": ref, "rehearsal": ref}
    read = Saved.model_validate(old)
    assert read.model_dump(mode="json", exclude={"conventions"}) == old and read.conventions == MNIST
