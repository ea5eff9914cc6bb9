"""A trial scores hyperparameters on what was held out, or says why it cannot."""

import numpy as np
import pytest

from artifacts.storage.store import Store
from tasks.data.datasets import Split
from tasks.experiments.trial import trial
from tasks.experiments.trial_worker import TrialResult, attempt
from tasks.model.hyperparameters import Hyperparameters
from tasks.training.workers import ONE_THREAD, dismiss
from tests.conftest import Arrays

HP = Hyperparameters(epochs=3, batch_size=32)

Parts = tuple[Split, Split]


@pytest.fixture
def parts(store: Store, digits: Arrays) -> Parts:
    images = digits[0][..., np.newaxis] / np.float32(255) - np.float32(0.5)
    targets = np.eye(10, dtype=np.float32)[digits[1]]
    train = Split(images=store.put(images[:300]), labels=store.put(targets[:300]))
    return train, Split(images=store.put(images[300:400]), labels=store.put(targets[300:400]))


def test_score(store: Store, parts: Parts) -> None:
    """The accuracy is the last epoch's on the held-out images; asking for that of each epoch changes nothing."""
    followed, plain = attempt(*parts, HP, 0, (), store), attempt(*parts, HP, 0, None, store)
    assert followed.accuracy == followed.epochs[-1] == followed.correct / 100 and len(followed.epochs) == 3
    assert plain.epochs == () and (plain.accuracy, plain.loss) == (followed.accuracy, followed.loss)
    assert plain.parameters == 8 * 10 + 8 * 9 * 10 + 10


def test_given_up(store: Store, parts: Parts) -> None:
    """A trial ends with the first epoch at which its best is below the floor, and has no accuracy."""
    found = attempt(*parts, HP, 0, (0.0, 1.0, 1.0), store)
    assert len(found.epochs) == 2 and found.accuracy is None and not found.failure


def test_failure(store: Store, parts: Parts) -> None:
    """What cannot be trained, because of its size or its loss, is a result that says why."""
    too_large = attempt(*parts, HP.model_copy(update={"kernel_size": (9,)}), 0, None, store)
    assert too_large.accuracy is None and "too small" in too_large.failure
    damaged = parts[0].model_copy(update={"images": store.put(store.get(parts[0].images) * np.float32("nan"))})
    diverged = attempt(damaged, parts[1], HP, 0, None, store)
    assert diverged.accuracy is None and "the loss became nan" in diverged.failure


def test_same_in_any_process(store: Store, parts: Parts) -> None:
    """A process that has fitted other networks comes to the same, to the last bit of the loss."""

    def ask(seed: int) -> TrialResult:
        return trial.fn(*parts, HP, seed, None).model_copy(update={"seconds": 0})

    try:
        first = ask(0)
        ask(1)
        again = ask(0)
        dismiss()
        assert first == again == ask(0)
    finally:
        dismiss()


def test_key_sees_the_fit(parts: Parts) -> None:
    """The key of a trial sees the code of the fit, in whatever process it runs, and the number of its threads."""
    code = trial.describe({"train": parts[0], "hyperparameters": HP, "seed": 0}).code
    assert {"tasks.training.fit:fit", "tasks.model.network:build", "tasks.training.workers:ONE_THREAD"} <= code.keys()
    assert set(ONE_THREAD.values()) == {"1"}
