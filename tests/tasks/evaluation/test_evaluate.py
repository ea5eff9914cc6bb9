"""What is stored as the evaluation is what the stored weights do."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score

from tasks.data.normalise import rescale
from tasks.evaluation.evaluate import evaluate
from tasks.evaluation.metrics import Evaluation, measure
from tasks.model.forward import predict
from tasks.model.network import build
from tests.conftest import Arrays
from tests.tasks.conftest import Lesson


def test_scores_follow_from_the_probabilities(lesson: Lesson) -> None:
    """The stored evaluation is the measure of the stored probabilities, whose rows are distributions."""
    guesses = lesson.store.get(lesson.scored.probabilities)
    labels = lesson.store.get(lesson.data.test.labels)
    stored = Evaluation.model_validate(lesson.store.get_json(lesson.scored.evaluation))
    assert guesses.shape == (32, 10) and guesses.sum(axis=1) == pytest.approx(1, abs=1e-5)
    assert stored == measure(np.asarray(guesses), np.asarray(labels))
    assert stored.accuracy == accuracy_score(labels, guesses.argmax(axis=1))


def test_evaluation_repeats_itself(lesson: Lesson) -> None:
    """Evaluating the same weights again gives the same bytes."""
    again = evaluate.fn(
        lesson.trained.weights, lesson.images.test, lesson.targets.test, lesson.hyperparameters, lesson.store
    )
    assert again == lesson.scored


def test_batches_do_not_show(lesson: Lesson, digits: Arrays, monkeypatch: pytest.MonkeyPatch) -> None:
    """Predicting in batches gives what Keras gives for all images at once."""
    images = rescale(digits[0])
    network = build(lesson.hyperparameters, images.shape[1:], 10)
    network.load_weights(lesson.store.path(lesson.trained.weights))
    oracle = network(images).numpy()
    monkeypatch.setattr("tasks.model.forward.BATCH", 400)
    guesses = predict(lesson.trained.weights, images, 10, lesson.hyperparameters, lesson.store)
    assert guesses.shape == oracle.shape and np.abs(guesses - oracle).max() < 1e-5
