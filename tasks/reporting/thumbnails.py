"""Small pictures of images, as PNG in data URLs."""

import base64
import io
from collections.abc import Sequence

import numpy as np

BUDGET = 90_000
"""Most characters of all thumbnails of a page together."""
HEIGHTS = (64, 48, 32, 20, 12)
"""Heights in pixels that are tried, until thumbnails fit the budget."""


def thumbnails(images: Sequence[np.ndarray], budget: int = BUDGET) -> list[str]:
    """A data URL for each grey image (height, width) uint8, all at a scale at which they fit the budget."""
    for height in HEIGHTS:
        steps = [max(1, -(-len(image) // height)) for image in images]
        urls = [data_url(image[::step, ::step]) for image, step in zip(images, steps, strict=True)]
        if sum(map(len, urls)) <= budget:
            break
    return urls if images else []


def data_url(pixels: np.ndarray) -> str:
    """Grey pixels (height, width) or RGBA pixels (height, width, 4), uint8, as a PNG in a data URL."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, "png", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
