"""The stored evaluation follows from the stored weights."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score

from tasks.evaluation.evaluate import evaluate, evaluate_champion
from tasks.evaluation.metrics import Evaluation, measure
from tests.tasks.conftest import Lesson


def test_scores_follow_from_the_probabilities(lesson: Lesson) -> None:
    """The evaluation measures the stored probabilities, whose rows are distributions."""
    probabilities = lesson.store.get(lesson.scored.probabilities)
    labels = lesson.store.get(lesson.data.test.labels)
    stored = Evaluation.model_validate(lesson.store.get_json(lesson.scored.evaluation))
    assert probabilities.shape == (32, 10) and probabilities.sum(axis=1) == pytest.approx(1, abs=1e-5)
    assert stored == measure(np.asarray(probabilities), np.asarray(labels))
    assert stored.accuracy == accuracy_score(labels, probabilities.argmax(axis=1))


def test_evaluation_repeats_itself(lesson: Lesson) -> None:
    """Evaluating the same weights again gives the same bytes."""
    images, targets, hp = lesson.images.test, lesson.targets.test, lesson.hyperparameters
    again = evaluate.fn(lesson.trained.weights, images, targets, hyperparameters=hp, store=lesson.store)
    assert again == lesson.scored


def test_champion_predicts_the_same_images(lesson: Lesson) -> None:
    """The champion's probabilities are those of its stored weights; without a champion there are none."""
    images, targets, hp = lesson.images.test, lesson.targets.test, lesson.hyperparameters
    weights = lesson.trained.weights
    champion = evaluate_champion.fn(weights, images, targets, hyperparameters=hp, store=lesson.store)
    assert champion == lesson.scored.probabilities
    assert evaluate_champion.fn(None, images, targets, hyperparameters=None, store=lesson.store) is None
