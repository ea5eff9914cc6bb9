"""Labels are encoded as Keras does it."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from artifacts.storage.store import Store
from tasks.data.one_hot import one_hot, one_hot_encode
from tests.tasks.conftest import splits


@settings(deadline=None)
@given(st.integers(1, 256), st.data())
def test_one_hot_is_keras(classes: int, data: st.DataObject) -> None:
    """The result is that of `keras.utils.to_categorical`, for any labels and number of classes."""
    from tasks.model.keras_setup import keras

    labels = np.array(data.draw(st.lists(st.integers(0, classes - 1))), np.uint8)
    encoded = one_hot(labels, classes)
    oracle = keras.utils.to_categorical(labels, classes).astype(np.float32)
    assert encoded.dtype == np.float32 and np.array_equal(encoded, oracle)


def test_both_splits_have_the_classes_of_training(store: Store) -> None:
    """The test targets are as wide as the training targets, even if the highest class is not among them."""
    images, labels = np.zeros((3, 4, 4), np.uint8), np.array([0, 4, 1], np.uint8)
    encoded = one_hot_encode.fn(splits((images, labels, images[:2], labels[::2]), store), store)
    assert np.array_equal(store.get(encoded.train), np.eye(5, dtype=np.float32)[[0, 4, 1]])
    assert np.array_equal(store.get(encoded.test), np.eye(5, dtype=np.float32)[[0, 1]])
