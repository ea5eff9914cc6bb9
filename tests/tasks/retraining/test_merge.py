"""Accepted batches are appended to the training images, except the new holdout."""

import numpy as np

from artifacts.storage.store import Store
from tasks.data.datasets import Split, Splits
from tasks.retraining.merge import HOLDOUT_FRACTION, Merged, in_new_holdout, merge, select_new_holdout
from tests.tasks.retraining.conftest import Batch


def test_each_image_is_used_once(store: Store, base: Splits, new_digits: Batch) -> None:
    """Each new image is either in the training split, after the base data, or in the new holdout, with its label."""
    halves = [Split(images=store.put(new_digits[0][i::2]), labels=store.put(new_digits[1][i::2])) for i in range(2)]
    merged = merge.fn(base, tuple(halves), store)
    images, labels = (np.concatenate([array[::2], array[1::2]]) for array in new_digits)
    held_out = in_new_holdout(images)
    assert merged.new_holdout and merged.data.test == base.test
    for ref, before, new in (
        (merged.data.train.images, base.train.images, images),
        (merged.data.train.labels, base.train.labels, labels),
    ):
        np.testing.assert_array_equal(store.get(ref), np.concatenate([store.get(before), new[~held_out]]))
    np.testing.assert_array_equal(store.get(merged.new_holdout.images), images[held_out])
    np.testing.assert_array_equal(store.get(merged.new_holdout.labels), labels[held_out])


def test_content_decides_the_holdout(new_digits: Batch) -> None:
    """About one image in HOLDOUT_FRACTION is held out, in each order of the images the same ones."""
    held_out = in_new_holdout(new_digits[0])
    np.testing.assert_array_equal(in_new_holdout(new_digits[0][::-1]), held_out[::-1])
    assert 0.7 < held_out.mean() * HOLDOUT_FRACTION < 1.3


def test_field_names_on_disk(base: Splits) -> None:
    """Manifests and cache entries of earlier versions have the new holdout as `fresh`, and still do."""
    entry = {"data": base.model_dump(mode="json"), "fresh": base.test.model_dump(mode="json")}
    assert Merged.model_validate(entry).model_dump(mode="json") == entry
    assert Merged.model_validate(entry).new_holdout == base.test


def test_the_holdout_alone(store: Store, base: Splits, new_digits: Batch) -> None:
    """Selecting the new holdout gives what merging holds out, and nothing where it holds nothing out."""
    halves = tuple(
        Split(images=store.put(new_digits[0][i::2]), labels=store.put(new_digits[1][i::2])) for i in range(2)
    )
    assert select_new_holdout.fn(halves, store) == merge.fn(base, halves, store).new_holdout
    kept = ~in_new_holdout(new_digits[0])
    learned = Split(images=store.put(new_digits[0][kept]), labels=store.put(new_digits[1][kept]))
    assert select_new_holdout.fn((learned,), store) is None
