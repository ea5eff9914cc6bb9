"""The candidate and the champion are compared on the new holdout."""

from tasks.data.datasets import Split
from tasks.model.hyperparameters import Hyperparameters
from tasks.retraining.evaluate_new_holdout import evaluate_new_holdout
from tests.tasks.conftest import Lesson


def test_counts(lesson: Lesson) -> None:
    """A model and itself differ on no image; without a champion, there is nothing to compare."""
    weights, hp, holdout = lesson.trained.weights, lesson.hyperparameters, lesson.data.test

    def counts(against: Hyperparameters | None) -> list[int] | None:
        champion = weights if against else None
        options = {"champion": champion, "champion_hyperparameters": against, "classes": 10, "store": lesson.store}
        ref = evaluate_new_holdout.fn(weights, hp, Split(images=holdout.images, labels=holdout.labels), **options)
        return ref and lesson.store.get_json(ref)

    assert counts(hp) == [0, 0, holdout.labels.shape[0]]
    assert counts(None) is None
