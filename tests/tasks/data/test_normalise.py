"""Pixels are centred as the tutorial does it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra import numpy as hnp

from artifacts.storage.store import Store
from tasks.data.normalise import normalise_and_reshape, rescale
from tests.conftest import Arrays
from tests.tasks.conftest import splits


@given(hnp.arrays(np.uint8, hnp.array_shapes(min_dims=3, max_dims=3, min_side=0)))
def test_rescale_is_the_tutorials(images: np.ndarray) -> None:
    """The result is that of the tutorial's own lines, to float32's precision."""
    oracle = np.expand_dims((images / 255) - 0.5, axis=3)
    scaled = rescale(images)
    assert scaled.shape == oracle.shape and scaled.dtype == np.float32
    assert np.abs(scaled - oracle).max(initial=0) < 1e-7


def test_every_pixel_value_keeps_its_place() -> None:
    """The 256 pixel values rise strictly from exactly -0.5 to exactly 0.5."""
    scaled = rescale(np.arange(256, dtype=np.uint8).reshape(1, 1, 256)).ravel()
    assert (scaled[0], scaled[-1]) == (-0.5, 0.5) and (np.diff(scaled) > 0).all()


@pytest.mark.parametrize("chunk", [7, 10_000])
def test_task_rescales_both_splits(chunk: int, store: Store, digits: Arrays, monkeypatch: pytest.MonkeyPatch) -> None:
    """The task rescales each split, and its result does not depend on the size of the chunks."""
    monkeypatch.setattr("artifacts.storage.arrays.CHUNK", chunk)
    scaled = normalise_and_reshape.fn(splits(digits, store), store)
    assert np.array_equal(store.get(scaled.train), rescale(digits[0]))
    assert np.array_equal(store.get(scaled.test), rescale(digits[2]))
