"""One small network, trained and scored once for all tests that need one."""

from typing import NamedTuple

import pytest

from artifacts.storage.store import Store
from tasks.data.datasets import Pair, Splits
from tasks.data.normalise import normalise_and_reshape
from tasks.data.one_hot import one_hot_encode
from tasks.evaluation.evaluate import Scored, evaluate
from tasks.model.hyperparameters import Hyperparameters
from tasks.training.train import Trained, train
from tests.conftest import Arrays


class Lesson(NamedTuple):
    """64 digits, what was learned from them in two epochs with seed 1, and how it does on 32 others."""

    store: Store
    data: Splits
    images: Pair
    targets: Pair
    hyperparameters: Hyperparameters
    trained: Trained
    scored: Scored


def splits(arrays: Arrays, store: Store) -> Splits:
    return Splits.of(*map(store.put, arrays))


@pytest.fixture(scope="session")
def lesson(digits: Arrays, tmp_path_factory: pytest.TempPathFactory) -> Lesson:
    store = Store(tmp_path_factory.mktemp("lesson"))
    hp = Hyperparameters(filters=(4, 8), padding=("same",), dense=(16,), dropout=0.1, epochs=2, batch_size=16)
    train_x, train_y, test_x, test_y = digits
    data = splits((train_x[:64], train_y[:64], test_x[:32], test_y[:32]), store)
    images, targets = normalise_and_reshape.fn(data, store), one_hot_encode.fn(data, store)
    trained = train.fn(images.train, targets.train, hp, seed=1, store=store)
    scored = evaluate.fn(trained.weights, images.test, targets.test, hyperparameters=hp, store=store)
    return Lesson(store, data, images, targets, hp, trained, scored)
