"""Where zero is. The benchmark edits this function: a step calls a function that calls a function that calls it."""

import numpy as np


def centre(scaled: np.ndarray) -> np.ndarray:
    """Move pixels in [0, 1] to [-0.5, 0.5]."""
    # the tutorial's range
    return scaled - np.float32(0.5)
