"""Arrays are read in parts, without growing the memory of the process."""

from pathlib import Path

import numpy as np
import pytest

from artifacts.errors import ArtifactLost
from artifacts.storage.arrays import Rows


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("shape", [(50,), (50, 3), (50, 4, 4, 1)])
def test_rows_are_the_arrays(dtype: type, shape: tuple[int, ...], tmp_path: Path) -> None:
    """Rows read from a file are those of the array in memory, in any order, also of a part of it."""
    array = np.random.default_rng(0).integers(0, 255, shape).astype(dtype)
    np.save(tmp_path / "array.npy", array)
    mapped = np.load(tmp_path / "array.npy", mmap_mode="r")
    numbers = np.array([3, 0, 49, 3, 17])
    for kind in (array, mapped):
        assert np.array_equal(Rows(kind)[numbers], array[numbers])
        assert np.array_equal(Rows(kind[1:])[numbers - 1], array[1:][numbers - 1])
    assert Rows(mapped)[numbers[:0]].shape == (0, *shape[1:])


def test_file_that_became_shorter(tmp_path: Path) -> None:
    """A file that is cut while it is read raises ArtifactLost, where its mapping would kill the process."""
    np.save(tmp_path / "array.npy", np.zeros((50, 100), np.uint8))
    rows = Rows(np.load(tmp_path / "array.npy", mmap_mode="r"))
    with (tmp_path / "array.npy").open("r+b") as file:
        file.truncate(1000)
    with pytest.raises(ArtifactLost, match="became shorter"):
        rows[np.array([49])]
