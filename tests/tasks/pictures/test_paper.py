"""Ink is told from paper in any light, and a sheet from what lies around it."""

import numpy as np
import pytest
from PIL import Image

from artifacts.errors import BadSource
from tasks.pictures.paper import find_ink, find_sheet, threshold_of
from tests.pictures import seven


def laid(angle: float, left: int = 90) -> tuple[np.ndarray, np.ndarray]:
    """A light sheet with a seven on a dark desk, turned, and where the sheet is."""
    desk, mask = Image.new("L", (300, 300), 60), Image.new("L", (300, 300))
    sheet = Image.fromarray((230 - seven(140) * (190 / 255)).astype(np.uint8))
    desk.paste(sheet, (left, 80))
    mask.paste(255, (left, 80, left + 140, 220))
    turned = [np.asarray(each.rotate(angle, fillcolor=fill)) for each, fill in ((desk, 60), (mask, 0))]
    return turned[0], turned[1] > 127


@pytest.mark.parametrize(("angle", "left"), [(0, 90), (10, 90), (-20, 80), (0, -10)])
def test_sheet_on_a_desk(angle: float, left: int) -> None:
    """A sheet is found at any angle, also over one edge of the picture, and ink is what is written on it."""
    picture, where = laid(angle, left)
    sheet = find_sheet(picture)
    assert sheet is not None and (sheet == where).mean() > 0.98
    ink = find_ink(picture)
    assert ink.is_dark and ink.changes and 0.02 < (ink.ink > threshold_of(ink.ink)).mean() < 0.25


@pytest.mark.parametrize("side", [80, 200, 256])
def test_no_sheet(side: int) -> None:
    """A white drawing, its negative, a lamp's light and a lit half of the paper are no sheets."""
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    lamp = 220 * np.exp(-(x**2) - y**2) * (1 - 0.8 * (seven(side) > 0))
    ring = np.where((np.hypot(x, y) > 0.4) & (np.hypot(x, y) < 0.9), 255, 0)
    lit = np.where(x > 0.1, 220, 130) * (1 - 0.8 * (seven(side) > 0))
    for picture in (seven(side), 255 - seven(side), lamp, ring, lit):
        assert find_sheet(picture.astype(np.uint8)) is None


@pytest.mark.parametrize("light", ["even", "ramp", "edge"])
def test_ink_in_any_light(light: str) -> None:
    """The same pixels are ink in even light, in a shadow that grows to one side, and in a shadow with an edge."""
    ink = seven(240) > 0
    x = np.linspace(0, 1, 240)
    lit = {"even": 1 + 0 * x, "ramp": 1 - 0.4 * x, "edge": np.where(x > 0.4, 0.6, 1)}[light]
    found = find_ink((220 * lit * (1 - 0.7 * ink)).astype(np.uint8))
    assert found.is_dark and ((found.ink > threshold_of(found.ink)) == ink).mean() > 0.995


@pytest.mark.parametrize("pen", [2, 4, 20])
def test_thin_pen_on_a_large_picture(pen: int) -> None:
    """A pen of two pixels on twelve megapixels with noise and shadow is found where it is."""
    picture = np.full((4000, 3000), 205, np.float32)
    picture[1000:3000, 1500 : 1500 + pen] = 95
    picture += np.random.default_rng(0).normal(0, 3, picture.shape) - np.linspace(0, 45, 3000)
    ink = find_ink(picture.clip(0, 255).astype(np.uint8)).ink
    rows, columns = np.nonzero(ink > threshold_of(ink))
    scale = 4000 / ink.shape[0]
    assert [rows.min() * scale, rows.max() * scale] == pytest.approx([1000, 3000], abs=2 * scale)
    assert columns.mean() * scale == pytest.approx(1500, abs=2 * scale)


@pytest.mark.parametrize("noise", [1, 4])
def test_noise_is_no_ink(noise: float) -> None:
    """Paper with noise and a shadow has no ink on it."""
    paper = np.random.default_rng(0).normal(200, noise, (600, 400)) - np.linspace(0, 60, 400)
    with pytest.raises(BadSource, match="hardly anything"):
        find_ink(paper.astype(np.uint8))
