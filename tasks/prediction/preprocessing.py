"""How do scans, photos and drawings become images as the model was trained on?

MNIST's digits are light on black, fit a box of 20 by 20 pixels with their proportions kept, and lie with their centre
of mass in the middle of 28 by 28 (LeCun, Cortes & Burges, http://yann.lecun.com/exdb/mnist/).
"""

from typing import Any

import numpy as np
from jaxtyping import Float32

from artifacts.errors import BadSource
from tasks.data.images import Grey, GreyImage

Ink = Float32[np.ndarray, "_ _"]
BOX = 20 / 28
"""Share of the model's height and width that a digit may fill."""
WORKING = 256
"""Longest side, in pixels, of the reduced picture in which ink is separated from paper."""
FAINT = 12
"""Least threshold between ink and paper, in grey levels. A lower one separates only noise."""
LIGHT, SURELY_LIGHT = 0.5, 0.9
"""Share of light pixels in the frame above which the ink is dark; the second for a picture of the model's size."""
NO_CONTRAST = "shows hardly anything: ink and paper are almost the same"


def to_model_input(picture: GreyImage, shape: tuple[int, ...]) -> GreyImage:
    """Bring a picture to the model's `shape` (height, width), light on dark, and add each change to its `changes`.

    A picture of that size is changed only if it is surely dark on light. Raises BadSource if nothing is drawn.
    """
    grey, changes = picture.pixels, list(picture.changes)
    if not grey.size or grey.min() == grey.max():
        raise BadSource("is blank: all its pixels are the same")
    has_size = grey.shape == tuple(shape)
    if _lightness(grey) > (SURELY_LIGHT if has_size else LIGHT):
        grey = 255 - grey
        changes.append("inverted, because it is dark on light")
    if has_size:
        return GreyImage(grey, tuple(changes))
    reduced = _reduced(grey)
    if reduced.min() == reduced.max():
        raise BadSource(NO_CONTRAST)
    ink = _ink(reduced)
    digit, scaled = _scaled(ink, shape)
    height, width = shape
    changes.append(f"cropped to {digit}, scaled to {scaled.shape[1]}×{scaled.shape[0]}")
    changes.append(f"centred by mass in {width}×{height}")
    return GreyImage(_centred(scaled, shape), tuple(changes))


def _lightness(grey: Grey) -> float:
    """Share of the outermost pixels above the middle of the picture's range."""
    return float((_frame(grey) > (float(grey.min()) + float(grey.max())) / 2).mean())


def _frame(grey: np.ndarray) -> np.ndarray:
    return np.concatenate([grey[0], grey[-1], grey[1:-1, 0], grey[1:-1, -1]])


def _reduced(grey: Grey) -> Grey:
    from PIL import Image

    factor = -(-max(grey.shape) // WORKING)
    return grey if factor == 1 else np.asarray(Image.fromarray(grey).reduce(factor))


def _ink(grey: Grey) -> Ink:
    """How much lighter each pixel is than the paper, in grey levels; 0 for noise.

    The shade of the paper is fitted as a polynomial of degree 2 in both directions.
    """
    light = grey.astype(np.float32)
    y, x = np.meshgrid(*(np.linspace(-1, 1, side, dtype=np.float32) for side in light.shape), indexing="ij")
    terms = np.stack([np.ones_like(x), x, y, x * y, x * x, y * y])
    ink = light - np.median(_frame(light))
    for _ in range(3):
        paper = terms * (ink < _threshold(ink))
        shade, *_ = np.linalg.lstsq(
            np.tensordot(paper, terms, ([1, 2], [1, 2])), np.tensordot(paper, light, 2), rcond=None
        )
        ink = light - np.tensordot(shade, terms, 1)
    threshold = _threshold(ink)
    if not threshold >= FAINT:
        raise BadSource(NO_CONTRAST)
    return np.where(ink < threshold / 2, np.float32(0), ink)


def _threshold(values: np.ndarray) -> float:
    """The value that best separates the pixels into two groups (Otsu 1979, doi:10.1109/TSMC.1979.4310076)."""
    counts, edges = np.histogram(values, 256)
    middles = (edges[1:] + edges[:-1]) / 2
    below, mass = np.cumsum(counts), np.cumsum(counts * middles)
    above = below[-1] - below
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (mass / below - (mass[-1] - mass) / above) ** 2
    best = edges[1:-1][between[:-1] >= np.nanmax(between[:-1]) * (1 - 1e-9)]
    return float(best.mean())  # all values between two distant groups separate them equally well


def _scaled(ink: Ink, shape: tuple[int, ...]) -> tuple[str, Grey]:
    """The size of the digit in words, and the digit, scaled to fill the box, with its lightest pixel white."""
    from PIL import Image

    inside = ink >= _threshold(ink)
    (top, bottom), (left, right) = _ends(np.any(inside, axis=1)), _ends(np.any(inside, axis=0))
    digit = ink[top : bottom + 1, left : right + 1]
    factor = min(round(BOX * side) / length for side, length in zip(shape, digit.shape, strict=True))
    height, width = (max(1, round(factor * length)) for length in digit.shape)
    scaled = np.asarray(Image.fromarray(digit).resize((width, height), Image.Resampling.BOX)).clip(0)
    return f"{digit.shape[1]}×{digit.shape[0]}", np.rint(scaled * (255 / scaled.max())).astype(np.uint8)


def _ends(line: Any) -> tuple[int, int]:
    positions = line.nonzero()[0]
    return int(positions[0]), int(positions[-1])


def _centred(digit: Grey, shape: tuple[int, ...]) -> Grey:
    """A black image of `shape` with the digit's centre of mass at pixel (height / 2, width / 2), counted from 0, as in
    MNIST; the digit stays whole.
    """
    image = np.zeros(shape, np.uint8)
    starts = []
    for axis, (side, length) in enumerate(zip(shape, digit.shape, strict=True)):
        mass = digit.sum(axis=1 - axis, dtype=np.float64)
        centre = (np.arange(length) * mass).sum() / mass.sum()
        starts.append(min(max(round(side / 2 - centre), 0), side - length))
    image[starts[0] : starts[0] + digit.shape[0], starts[1] : starts[1] + digit.shape[1]] = digit
    return image
