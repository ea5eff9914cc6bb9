"""The named data sets are complete, and their digests are those of the real files."""

import os
from pathlib import Path

import pytest

from artifacts.storage.store import Store
from tasks.data import idx
from tasks.data.datasets import FILES, MIRRORS, NAMES, SAMPLE_SOURCE, SOURCES, Splits
from tests.conftest import Arrays


def test_each_name_has_a_source() -> None:
    """Each name is that of a source, and each source that is downloaded has two mirrors."""
    assert {SAMPLE_SOURCE.name, *(source.name for source in SOURCES.values())} == set(NAMES)
    assert {name: len(urls) for name, urls in MIRRORS.items()} == dict.fromkeys(SOURCES, 2)


def test_splits_follow_the_order_of_the_files(digits: Arrays, store: Store) -> None:
    """Splits are made of references in the order of FILES: training images and labels, then those of the test."""
    refs = [store.put(array) for array in digits]
    splits = Splits.of(*refs)
    assert [splits.train.images, splits.train.labels, splits.test.images, splits.test.labels] == refs


@pytest.mark.full_mnist
def test_digests_are_those_of_mnist(mnist_folder: Path) -> None:
    """The digests of the source mnist are those of the decompressed files of the real MNIST."""
    digests = [idx.decompress(idx.find_file(mnist_folder, name), Path(os.devnull), 2**26) for name in FILES]
    assert tuple(digests) == SOURCES["mnist"].digests
