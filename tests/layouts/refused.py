"""Pictures that are not of one digit: a layout takes the ink of some digits and gives what must not be read as one."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from tests.layouts.ink import Generator, as_pixels, enlarged, on_page, photographed


def beside(inks: Sequence[np.ndarray], rng: Generator) -> np.ndarray:
    """Digits side by side, of different sizes, some higher than others."""
    digits = [enlarged(ink, int(rng.integers(150, 240))) for ink in inks]
    gaps = [int(rng.uniform(16, 200)) for _ in digits]
    page = np.full((340, sum(digit.shape[1] for digit in digits) + sum(gaps) + 60), 240, np.float32)
    left = 40
    for digit, gap in zip(digits, gaps, strict=True):
        top = int(rng.integers(20, page.shape[0] - digit.shape[0] - 20))
        page[top : top + digit.shape[0], left : left + digit.shape[1]] -= 210 * digit
        left += digit.shape[1] + gap
    return as_pixels(page)


def beside_on_ruled(inks: Sequence[np.ndarray], rng: Generator) -> np.ndarray:
    """A photograph of digits side by side on ruled paper."""
    page = beside(inks, rng).astype(np.float32)
    page[30 :: int(rng.integers(40, 90))] -= 60
    return photographed(page.clip(25), rng, shadow=20)


def beside_at_28(inks: Sequence[np.ndarray], rng: Generator) -> np.ndarray:
    """Two digits on a page that was scaled whole to 28 by 28."""
    page = np.full((280, 280), 230, np.float32)
    for ink, left in zip(inks, (20, 150), strict=True):
        digit = enlarged(ink, 110)
        page[70 : 70 + digit.shape[0], left : left + digit.shape[1]] -= 200 * digit
    return np.asarray(Image.fromarray(as_pixels(page)).resize((28, 28), Image.Resampling.BOX))


def above(inks: Sequence[np.ndarray], rng: Generator) -> np.ndarray:
    """One digit above the other, with a gap of at least a third of their height."""
    digits = [enlarged(ink, int(rng.integers(150, 200))) for ink in inks]
    page = np.full((sum(digit.shape[0] for digit in digits) + 260, 300), 240, np.float32)
    top = 30
    for digit in digits:
        left = int(rng.integers(20, page.shape[1] - digit.shape[1] - 20))
        page[top : top + digit.shape[0], left : left + digit.shape[1]] -= 210 * digit
        top += digit.shape[0] + int(rng.integers(67, 100))
    return as_pixels(page)


def blank(_: Sequence[np.ndarray], rng: Generator) -> np.ndarray:
    return photographed(np.full((600, 450), rng.uniform(150, 240), np.float32), rng)


def as_dark_as_its_squares(inks: Sequence[np.ndarray], rng: Generator) -> np.ndarray:
    """Squared paper whose print is as dark as the pen."""
    pitch = int(rng.integers(24, 80))
    sheet = np.full((600, 600), 235, np.float32)
    for start in range(5, 9):
        sheet[start::pitch] = sheet[:, start::pitch] = 65
    return as_pixels(np.minimum(sheet, on_page(enlarged(inks[0], 300), (600, 600), rng, paper=255, ink=60)))


def chequered(_: Sequence[np.ndarray], rng: Generator) -> np.ndarray:
    y, x = np.mgrid[:400, :400] // int(rng.integers(10, 80))
    return as_pixels(np.where((x + y) % 2, 230.0, 30.0))


class Refused(NamedTuple):
    """A layout of some digits, and its name."""

    name: str
    layout: Callable[[Sequence[np.ndarray], Generator], np.ndarray]
    digits: int = 1


REFUSED = (
    Refused("two digits side by side", beside, 2),
    Refused("four digits side by side", beside, 4),
    Refused("two digits on ruled paper", beside_on_ruled, 2),
    Refused("two digits at 28 by 28", beside_at_28, 2),
    Refused("two digits, one above the other", above, 2),
    Refused("blank paper", blank),
    Refused("squares as dark as the pen", as_dark_as_its_squares),
    Refused("chequered pattern", chequered),
)
