"""Bring pixels to the network's range."""

import numpy as np
from work.centre import centre


def rescale(images: np.ndarray) -> np.ndarray:
    """Bytes (n, height, width) to float32 (n, height, width, 1) in [-0.5, 0.5]."""
    return centre(images[..., np.newaxis] / np.float32(255))
