"""Samples are images that the model did not learn from."""

import numpy as np
import pytest

from artifacts.errors import DigitflowError
from artifacts.storage.store import Store
from tasks.prediction.samples import choose_samples
from tasks.registry.registry import Registry
from tasks.registry.versions import Version
from tests.conftest import Arrays
from tests.tasks.monitoring.conftest import base, manifest, version, version_of

__all__ = ["base", "manifest", "version"]


def test_one_of_each_class(store: Store, version: Version, digits: Arrays) -> None:
    """There is a sample of each class, the first test image that shows it, as it was before training."""
    samples = choose_samples(version, Registry(store.home), store)
    assert [sample.label for sample in samples] == list(range(10))
    for image, label in samples:
        np.testing.assert_array_equal(image, digits[2][digits[3] == label][0])


def test_a_run_that_is_gone(store: Store) -> None:
    """Without the record of its run, it is not known what a version was judged on."""
    with pytest.raises(DigitflowError, match="not known which images"):
        choose_samples(version_of("gone"), Registry(store.home), store)
