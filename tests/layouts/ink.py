"""The ink of a digit, drawn again, laid on a page, and photographed."""

import io
import math

import numpy as np
from PIL import Image, ImageDraw

Generator = np.random.Generator


def cut(ink: np.ndarray) -> np.ndarray:
    """The digit without its margins."""
    rows, columns = (np.flatnonzero(ink.max(axis=axis) > 25) for axis in (1, 0))
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def enlarged(ink: np.ndarray, longest: int, degrees: float = 0) -> np.ndarray:
    """The cut digit, turned, its longest side `longest` pixels, as float32 in [0, 1]."""
    digit = cut(ink)
    factor = longest / max(digit.shape)
    size = [max(2, round(side * factor)) for side in digit.shape[::-1]]
    image = Image.fromarray(digit).resize((size[0], size[1]), Image.Resampling.BICUBIC)
    turned = image.rotate(degrees, Image.Resampling.BICUBIC, expand=True)
    return np.asarray(turned, np.float32) / 255


def strokes(ink: np.ndarray) -> list[tuple[tuple[float, float], tuple[float, float]]]:
    """The middle lines of a digit's strokes as short lines between points (x, y), in shares of its longest side.

    Thinning after Zhang & Suen 1984 (doi:10.1145/357994.358023), on the digit enlarged four times.
    """
    big = np.pad(enlarged(ink, 80) > 0.5, 1)
    while True:
        before = big.sum()
        for step in (0, 1):
            around = [np.roll(big, shift, (0, 1)) for shift in _AROUND]
            count = np.sum(around, axis=0)
            turns = sum(~a & b for a, b in zip(around, [*around[1:], around[0]], strict=True))
            north, east, south, west = around[0], around[2], around[4], around[6]
            first = north & east & (south if step == 0 else west)
            second = south & west & (east if step == 0 else north)
            big &= ~((count >= 2) & (count <= 6) & (turns == 1) & ~first & ~second)
        if big.sum() == before:
            break
    points = {(int(x), int(y)) for y, x in np.argwhere(big)}
    lines = [(p, (p[0] + dx, p[1] + dy)) for p in points for dx, dy in ((1, 0), (0, 1), (1, 1), (1, -1))]
    scale = 1 / max(big.shape)
    return [
        ((a[0] * scale, a[1] * scale), (b[0] * scale, b[1] * scale))
        for a, b in [*((a, b) for a, b in lines if b in points), *((p, p) for p in points)]
    ]


_AROUND = ((1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1))


def drawn(ink: np.ndarray, longest: int, pen: int) -> np.ndarray:
    """The digit drawn again with a round pen of so many pixels, as float32 in [0, 1]."""
    canvas = Image.new("L", (longest + 2 * pen, longest + 2 * pen))
    draw = ImageDraw.Draw(canvas)
    for (x0, y0), (x1, y1) in strokes(ink):
        ends = [pen + longest * value for value in (x0, y0, x1, y1)]
        draw.line(ends, fill=255, width=pen)
        if pen > 3:
            draw.ellipse([ends[2] - pen / 2, ends[3] - pen / 2, ends[2] + pen / 2, ends[3] + pen / 2], fill=255)
    return np.asarray(canvas, np.float32) / 255


def on_page(
    patch: np.ndarray, shape: tuple[int, int], rng: Generator, *, paper: float, ink: float, centred: bool = False
) -> np.ndarray:
    """A page of grey `paper` with the patch in grey `ink`, as float32; anywhere with a little margin, or centred."""
    page = np.full(shape, paper, np.float32)
    margin = max(2, round(0.04 * min(shape)))
    free = [side - length - 2 * margin for side, length in zip(shape, patch.shape, strict=True)]
    top, left = (margin + (room // 2 if centred else int(rng.integers(0, max(room, 0) + 1))) for room in free)
    page[top : top + patch.shape[0], left : left + patch.shape[1]] += (ink - paper) * patch
    return page


def photographed(grey: np.ndarray, rng: Generator, *, shadow: float = 60, noise: float = 4) -> np.ndarray:
    """As a camera sees it: light that falls off to one side, noise, JPEG."""
    height, width = grey.shape
    angle, depth = rng.uniform(0, 2 * math.pi), rng.uniform(0.3, 1) * shadow
    slope = np.cos(angle) * np.linspace(0, 1, width)[None, :] + np.sin(angle) * np.linspace(0, 1, height)[:, None]
    slope = (slope - slope.min()) / np.ptp(slope)
    lit = grey * (1 - depth / 255 * slope) + rng.normal(0, rng.uniform(0.3, 1) * noise, grey.shape)
    return jpeg(lit, int(rng.integers(70, 95)))


def jpeg(grey: np.ndarray, quality: int) -> np.ndarray:
    Image.fromarray(grey.clip(0, 255).astype(np.uint8)).save(buffer := io.BytesIO(), "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))


def as_pixels(grey: np.ndarray) -> np.ndarray:
    return np.rint(grey.clip(0, 255)).astype(np.uint8)
