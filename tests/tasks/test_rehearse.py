"""Weights that do not work in a fresh process are found out before anything relies on them."""

import pytest

from artifacts.errors import ArtifactLost
from artifacts.gate import Rehearsal
from artifacts.store import Ref
from tasks.rehearse import rehearse
from tests.tasks.conftest import Lesson


def rehearsed(lesson: Lesson, weights: Ref | None = None, probabilities: Ref | None = None) -> Rehearsal:
    made = rehearse.fn(
        weights or lesson.trained.weights,
        lesson.data.test.images,
        probabilities or lesson.scored.probabilities,
        lesson.hyperparameters,
        lesson.store,
    )
    return Rehearsal.model_validate(lesson.store.get_json(made))


def test_sound_weights_pass(lesson: Lesson) -> None:
    """Weights that predict from raw pixels what they predicted in training pass, and their size and speed are told."""
    measured = rehearsed(lesson)
    assert measured.weights_bytes == lesson.store.path(lesson.trained.weights).stat().st_size
    assert measured.latency_ms > 0 and measured.throughput > 0


def test_forgotten_normalisation_is_found(lesson: Lesson) -> None:
    """If training saw other pixels than production will, the predictions differ, and the weights are refused."""
    from artifacts.prediction import predict

    raw = lesson.store.get(lesson.data.test.images)[..., None].astype("float32")  # never rescaled
    wrong = lesson.store.put(predict(lesson.trained.weights, raw, 10, lesson.hyperparameters, lesson.store))
    with pytest.raises(ArtifactLost, match="predict otherwise in a fresh process"):
        rehearsed(lesson, probabilities=wrong)


def test_broken_weights_are_found(lesson: Lesson) -> None:
    """Weights that cannot be loaded fail in the fresh process, and the error says how."""
    broken = lesson.store.put_bytes(lesson.store.path(lesson.trained.weights).read_bytes()[:500], "weights.h5")
    with pytest.raises(ArtifactLost, match=r"fail in a fresh process: .*do not fit the network"):
        rehearsed(lesson, weights=broken)
