"""One digit as people bring it, with pens, papers, shadows and desks.

A layout takes the ink of a digit (28, 28) uint8, light on dark, as MNIST has it, and gives a grey picture (height,
width) uint8. A generator in the same state gives the same picture.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from tests.layouts.ink import Generator, as_pixels, drawn, enlarged, on_page, photographed

Layout = Callable[[np.ndarray, Generator], np.ndarray]


def papers(rng: Generator) -> tuple[float, float]:
    """The grey of a paper and of ink on it."""
    paper = rng.uniform(150, 245)
    return paper, rng.uniform(20, paper - 90)


def page(ink: np.ndarray, rng: Generator, *, side: int = 280, share: float = 0.6) -> np.ndarray:
    paper, pen = papers(rng)
    return on_page(enlarged(ink, round(side * share)), (side, side), rng, paper=paper, ink=pen)


def own(ink: np.ndarray, rng: Generator) -> np.ndarray:
    return ink


def negative(ink: np.ndarray, rng: Generator) -> np.ndarray:
    return 255 - ink


def page_at_28(ink: np.ndarray, rng: Generator) -> np.ndarray:
    share = rng.uniform(0.45, 0.85)
    large = page(ink, rng, share=share)
    return np.asarray(Image.fromarray(as_pixels(large)).resize((28, 28), Image.Resampling.BOX))


def framed_at_28(ink: np.ndarray, rng: Generator) -> np.ndarray:
    """MNIST's own layout, on grey paper."""
    paper, pen = papers(rng)
    return as_pixels(paper + (pen - paper) * (ink / np.float32(255)))


def light_at_28(ink: np.ndarray, rng: Generator) -> np.ndarray:
    """Light on black at 28 by 28, but not as MNIST has it: smaller, larger, or out of the middle."""
    return as_pixels(on_page(enlarged(ink, int(rng.integers(10, 25))), (28, 28), rng, paper=0, ink=255))


def twice(ink: np.ndarray, rng: Generator) -> np.ndarray:
    return np.asarray(Image.fromarray(ink).resize((56, 56), Image.Resampling.BICUBIC))


def scan(ink: np.ndarray, rng: Generator) -> np.ndarray:
    return as_pixels(on_page(enlarged(ink, 200), (280, 280), rng, paper=255, ink=0, centred=True))


def drawing(ink: np.ndarray, rng: Generator) -> np.ndarray:
    patch = drawn(ink, int(rng.integers(140, 220)), 22)
    return as_pixels(on_page(patch, (280, 280), rng, paper=0, ink=255))


def anywhere(ink: np.ndarray, rng: Generator) -> np.ndarray:
    return as_pixels(page(ink, rng, share=rng.uniform(0.2, 0.8)))


def small(ink: np.ndarray, rng: Generator) -> np.ndarray:
    side = int(rng.integers(32, 90))
    return as_pixels(page(ink, rng, side=side, share=rng.uniform(0.5, 0.8)))


def photo(ink: np.ndarray, rng: Generator) -> np.ndarray:
    shape = (800, 600)
    paper, pen = papers(rng)
    patch = enlarged(ink, int(rng.integers(120, 420)), rng.uniform(-12, 12))
    return photographed(on_page(patch, shape, rng, paper=paper, ink=pen), rng)


def far(ink: np.ndarray, rng: Generator) -> np.ndarray:
    """A digit of a fifteenth to a fifth of the photograph's height."""
    paper, pen = papers(rng)
    patch = enlarged(ink, int(rng.integers(80, 240)))
    return photographed(on_page(patch, (1200, 900), rng, paper=paper, ink=pen), rng)


def edged_shadow(ink: np.ndarray, rng: Generator) -> np.ndarray:
    """The shadow of a hand or a phone, with a hard edge, over a part of the paper."""
    shape = (600, 600)
    grey = on_page(enlarged(ink, int(rng.integers(200, 400))), shape, rng, paper=rng.uniform(190, 240), ink=40)
    y, x = np.mgrid[-1 : 1 : shape[0] * 1j, -1 : 1 : shape[1] * 1j]
    angle, offset = rng.uniform(0, 2 * math.pi), rng.uniform(-0.6, 0.6)
    side = np.cos(angle) * x + np.sin(angle) * y > offset
    soft = ndimage.gaussian_filter(side.astype(np.float32), rng.uniform(1, 8))
    return photographed(grey * (1 - rng.uniform(0.15, 0.45) * soft), rng, shadow=15)


def pens(ink: np.ndarray, rng: Generator, *, shape: tuple[int, int] = (2000, 1500)) -> np.ndarray:
    """A pen of 2 to 20 pixels on a large photograph."""
    pen = int(rng.choice([2, 3, 4, 6, 10, 20]))
    patch = drawn(ink, int(min(shape) * rng.uniform(0.25, 0.6)), pen)
    return photographed(on_page(patch, shape, rng, paper=205, ink=95), rng, shadow=45, noise=3)


def desk(ink: np.ndarray, rng: Generator) -> np.ndarray:
    """A light sheet on a darker desk, turned a little, at times over the edge of the picture."""
    height, width = 800, 600
    tone, paper = rng.uniform(30, 110), rng.uniform(190, 245)
    sheet = on_page(
        enlarged(ink, int(rng.integers(140, 300)), rng.uniform(-8, 8)), (560, 420), rng, paper=paper, ink=40
    )
    mask = Image.new("L", (width, height))
    laid = Image.new("F", (width, height), tone)
    at = (int(rng.integers(-30, width - 420 + 1)), int(rng.integers(60, height - 560 - 60)))
    laid.paste(Image.fromarray(sheet), at)
    mask.paste(255, (at[0], at[1], at[0] + 420, at[1] + 560))
    degrees = rng.uniform(-7, 7)
    turned = [np.asarray(each.rotate(degrees, Image.Resampling.BILINEAR)) for each in (laid, mask)]
    wood = tone + ndimage.gaussian_filter(rng.normal(0, 1, (height, width)), (1, 12)) * rng.uniform(10, 60)
    return photographed(np.where(turned[1] > 127, turned[0], wood), rng, shadow=30)


def squared(ink: np.ndarray, rng: Generator) -> np.ndarray:
    """Squared paper; the digit's pen is darker than the print."""
    side, pitch = 600, int(rng.integers(24, 80))
    paper = rng.uniform(215, 250)
    sheet = Image.new("F", (side, side), paper)
    draw, print_ = ImageDraw.Draw(sheet), paper - rng.uniform(30, 75)
    start, width = int(rng.integers(0, pitch)), int(rng.integers(1, 4))
    for at in range(start, side, pitch):
        draw.line((at, 0, at, side), fill=print_, width=width)
        draw.line((0, at, side, at), fill=print_, width=width)
    digit = on_page(enlarged(ink, int(rng.integers(200, 420))), (side, side), rng, paper=255, ink=35)
    return photographed(np.minimum(np.asarray(sheet), digit), rng, shadow=20, noise=3)


def ruled(ink: np.ndarray, rng: Generator) -> np.ndarray:
    """Ruled paper, with a margin line."""
    side, pitch = 600, int(rng.integers(40, 110))
    paper = rng.uniform(215, 250)
    sheet = Image.new("F", (side, side), paper)
    draw, print_ = ImageDraw.Draw(sheet), paper - rng.uniform(30, 80)
    for at in range(int(rng.integers(0, pitch)), side, pitch):
        draw.line((0, at, side, at), fill=print_, width=int(rng.integers(1, 4)))
    draw.line((60, 0, 60, side), fill=print_, width=2)
    digit = on_page(enlarged(ink, int(rng.integers(200, 420))), (side, side), rng, paper=255, ink=35)
    return photographed(np.minimum(np.asarray(sheet), digit), rng, shadow=20, noise=3)


def corner(ink: np.ndarray, rng: Generator) -> np.ndarray:
    """A scan with a black corner or a black edge, where the sheet ended."""
    side = 500
    grey = on_page(enlarged(ink, int(rng.integers(200, 330))), (side, side), rng, paper=240, ink=30, centred=True)
    y, x = np.mgrid[0:side, 0:side]
    if rng.random() < 0.5:
        black = x + rng.uniform(0.6, 1.6) * y < rng.uniform(40, 110)
    else:
        black = x - rng.uniform(-0.03, 0.03) * y < rng.uniform(8, 50)
    return as_pixels(np.where(np.rot90(black, int(rng.integers(0, 4))), rng.uniform(0, 40), grey))


def printed_line(ink: np.ndarray, rng: Generator) -> np.ndarray:
    """A printed line below the digit: over the whole width, to one edge, or to none."""
    side = 500
    digit = enlarged(ink, int(rng.integers(180, 280)))
    grey = np.full((side, side), 235, np.float32)
    top, left = int(rng.integers(40, 110)), int(rng.integers(60, side - digit.shape[1] - 60))
    grey[top : top + digit.shape[0], left : left + digit.shape[1]] -= 195 * digit
    line = top + digit.shape[0] + int(rng.integers(20, 80))
    start, stop = [(0, side), (0, side - 80), (60, side), (60, side - 60)][int(rng.integers(0, 4))]
    grey[line : line + int(rng.integers(2, 7)), start:stop] = rng.uniform(40, 120)
    return as_pixels(grey)


def dust(ink: np.ndarray, rng: Generator) -> np.ndarray:
    """Specks and a fleck in a corner."""
    side = 300
    grey = on_page(enlarged(ink, int(rng.integers(140, 210))), (side, side), rng, paper=235, ink=30, centred=True)
    for _ in range(int(rng.integers(1, 6))):
        y, x = (int(rng.integers(4, 40)) + (252 if rng.random() < 0.5 else 0) for _ in "yx")
        grey[y : y + int(rng.integers(1, 6)), x : x + int(rng.integers(1, 6))] = rng.uniform(20, 150)
    return as_pixels(grey)


def cropped(ink: np.ndarray, rng: Generator) -> np.ndarray:
    """Cut out along the ink, dark on light or light on dark."""
    digit = enlarged(ink, int(rng.integers(40, 200)))
    if rng.random() < 0.5:
        return as_pixels(255 * digit)
    return as_pixels(250 - 220 * digit)


def margined(ink: np.ndarray, rng: Generator) -> np.ndarray:
    """Cut out with a margin of a few pixels."""
    digit = enlarged(ink, int(rng.integers(40, 200)))
    return as_pixels(255 - 225 * np.pad(digit, int(rng.integers(2, 6))))


def blackboard(ink: np.ndarray, rng: Generator) -> np.ndarray:
    """Chalk on a board."""
    patch = enlarged(ink, int(rng.integers(160, 400)), rng.uniform(-8, 8)) * rng.uniform(0.7, 1)
    return photographed(on_page(patch, (600, 800), rng, paper=rng.uniform(30, 80), ink=215), rng, shadow=90)


def vignette(ink: np.ndarray, rng: Generator) -> np.ndarray:
    """A lens that darkens the corners."""
    side = 700
    grey = on_page(enlarged(ink, int(rng.integers(200, 400))), (side, side), rng, paper=220, ink=60)
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    return photographed(grey * (1 - rng.uniform(0.2, 0.45) * (x**2 + y**2) / 2), rng, shadow=10)


def boxed(ink: np.ndarray, rng: Generator) -> np.ndarray:
    """A form: the digit in a printed box."""
    side = 400
    grey = on_page(enlarged(ink, int(rng.integers(130, 190))), (side, side), rng, paper=240, ink=30, centred=True)
    margin, width = int(rng.integers(40, 80)), int(rng.integers(2, 6))
    sheet = Image.fromarray(grey)
    ImageDraw.Draw(sheet).rectangle((margin, margin, side - margin, side - margin), outline=60, width=width)
    return photographed(np.asarray(sheet), rng, shadow=20)


class Kind(NamedTuple):
    """A layout of one digit, its name, and how many pictures of it to make for each of the others."""

    name: str
    layout: Layout
    share: float = 1


KINDS = (
    Kind("MNIST's own", own),
    Kind("dark on white, 28 by 28", negative),
    Kind("MNIST's layout on grey paper, 28 by 28", framed_at_28),
    Kind("page scaled whole to 28 by 28", page_at_28),
    Kind("light on black out of place, 28 by 28", light_at_28),
    Kind("MNIST at twice its size", twice),
    Kind("scan", scan),
    Kind("drawing", drawing),
    Kind("page, digit anywhere", anywhere),
    Kind("small picture", small),
    Kind("cut out along its ink", cropped),
    Kind("cut out with a small margin", margined),
    Kind("photo, turned, uneven light", photo),
    Kind("photo from far", far, 0.5),
    Kind("hard-edged shadow", edged_shadow),
    Kind("dark corners of a lens", vignette),
    Kind("chalk on a board", blackboard),
    Kind("pen of 2 to 20 pixels, 3 megapixels", pens, 0.3),
    Kind("pen of 2 to 20 pixels, 12 megapixels", partial(pens, shape=(4000, 3000)), 0.05),
    Kind("sheet on a desk", desk),
    Kind("squared paper", squared),
    Kind("ruled paper", ruled),
    Kind("scanner's black corner or edge", corner),
    Kind("printed line below", printed_line),
    Kind("dust", dust),
    Kind("printed box", boxed),
)
