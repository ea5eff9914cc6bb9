"""A trial scores hyperparameters on the held-out images, or says why it cannot."""

import numpy as np

from artifacts.storage.store import Store
from tasks.experiments.trial_worker import TrialResult, run_trial
from tasks.model.hyperparameters import Hyperparameters
from tests.tasks.experiments.conftest import HP, Parts


def run(
    parts: Parts, store: Store, hp: Hyperparameters = HP, thresholds: tuple[float, ...] | None = None
) -> TrialResult:
    return run_trial(*parts, hp, seed=0, pruning_thresholds=thresholds, store=store)


def test_score(store: Store, parts: Parts) -> None:
    """The accuracy is the last epoch's on the held-out images; measuring it after each epoch changes nothing."""
    followed, plain = run(parts, store, thresholds=()), run(parts, store)
    assert followed.accuracy == followed.epochs[-1] == followed.correct / 100 and len(followed.epochs) == 3
    assert plain.epochs == () and (plain.accuracy, plain.loss) == (followed.accuracy, followed.loss)
    assert plain.parameters == 8 * 10 + 8 * 9 * 10 + 10


def test_pruned(store: Store, parts: Parts) -> None:
    """A trial ends after the first epoch whose threshold its best accuracy is below, and has no accuracy."""
    result = run(parts, store, thresholds=(0.0, 1.0, 1.0))
    assert len(result.epochs) == 2 and result.accuracy is None and not result.failure


def test_failure(store: Store, parts: Parts) -> None:
    """A network that is too large for the images, or whose loss diverges, is a result that says why."""
    too_large = run(parts, store, HP.model_copy(update={"kernel_size": (9,)}))
    assert too_large.accuracy is None and "too small" in too_large.failure
    damaged = parts[0].model_copy(update={"images": store.put(store.get(parts[0].images) * np.float32("nan"))})
    diverged = run((damaged, parts[1]), store)
    assert diverged.accuracy is None and "the loss became nan" in diverged.failure
