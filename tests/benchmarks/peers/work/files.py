"""Arrays in files, for the peers that pass files between processes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np


def write(folder: str, arrays: Sequence[np.ndarray]) -> None:
    """Write the arrays as 0.npy, 1.npy and so on into a folder."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    for i, array in enumerate(arrays):
        np.save(Path(folder, f"{i}.npy"), array)


def read(folder: str) -> Any:
    """The arrays of a folder that `write` wrote."""
    return [np.load(Path(folder, f"{i}.npy")) for i in range(len(list(Path(folder).glob("*.npy"))))]
