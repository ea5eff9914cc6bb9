"""A photographed, scanned or drawn digit becomes an image as the model was trained on."""

import io
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from artifacts.errors import BadSource
from tasks.data.images import GreyImage, decode
from tasks.prediction.preprocessing import BOX, to_model_input
from tests.conftest import Arrays
from tests.pictures import exif, picture_file, seven, transparent

SIZE = (28, 28)
DOT = np.array([[254]], np.uint8)


def test_own_size_is_kept(digits: Arrays) -> None:
    """An image of the model's size is kept as it is, unless it is dark on light: then it is inverted, and says so."""
    for image in digits[0]:
        assert to_model_input(GreyImage(image, ()), (8, 8)).pixels is image
        turned = to_model_input(GreyImage(255 - image, ()), (8, 8))
        assert not turned.changes or (turned.pixels == image).all()


@pytest.mark.parametrize(
    ("change", "write"),
    [
        ("cropped", lambda ink: picture_file(Image.fromarray(ink))),
        ("inverted", lambda ink: picture_file(Image.fromarray(255 - ink), "BMP")),
        ("made grey", lambda ink: picture_file(Image.fromarray(ink).convert("RGB"))),
        ("turned", lambda ink: picture_file(Image.fromarray(np.rot90(ink)), exif=exif(6))),
        ("laid on white", lambda ink: transparent(ink, 0)),
        ("laid on black", lambda ink: transparent(ink, 255)),
        ("16 bits", lambda ink: picture_file(Image.fromarray(ink.astype(np.uint16) * 257))),
    ],
)
def test_every_kind_of_file(change: str, write: Callable[[np.ndarray], io.BytesIO]) -> None:
    """The same drawing gives the same pixels in each kind of file, and `changes` lists what was done."""
    image = to_model_input(decode(write(seven())), SIZE)
    np.testing.assert_array_equal(image.pixels, to_model_input(GreyImage(seven(), ()), SIZE).pixels)
    assert any(entry.startswith(change) for entry in image.changes)


def test_photograph() -> None:
    """Grey ink on paper in uneven light, with noise, in a large JPEG, gives almost the pixels of the drawing."""
    ink = seven(600) / 255
    y, x = np.mgrid[0:1:600j, 0:1:600j]
    paper = 140 + 70 * x - 50 * y + np.random.default_rng(0).normal(0, 4, ink.shape)
    photo = (paper * (1 - 0.7 * ink)).clip(0, 255).astype(np.uint8)
    image = to_model_input(decode(picture_file(Image.fromarray(photo), "JPEG", quality=80)), SIZE)
    wanted = to_model_input(GreyImage(seven(600), ()), SIZE).pixels
    assert np.abs(image.pixels.astype(int) - wanted).mean() < 4
    assert image.pixels[0].max() == 0


@settings(deadline=None, max_examples=50)
@given(st.data())
def test_mnist_conventions(data: st.DataObject) -> None:
    """Any rectangle of ink fills the box in one direction, keeps its proportions, is white, and lies with its centre of
    mass at pixel (14, 14)."""
    side = data.draw(st.integers(40, 400))
    height, width = (data.draw(st.integers(side // 8, side // 2)) for _ in range(2))
    top, left = (data.draw(st.integers(1, side - length - 1)) for length in (height, width))
    image = np.zeros((side, side), np.uint8)
    image[top : top + height, left : left + width] = 200
    pixels = to_model_input(GreyImage(image, ()), SIZE).pixels
    rows, columns = (np.nonzero(pixels.any(axis=axis))[0] for axis in (1, 0))
    sides = [np.ptp(where) + 1 for where in (rows, columns)]
    assert pixels.max() == 255 and max(sides) == round(BOX * 28)
    assert sides[0] / sides[1] == pytest.approx(height / width, rel=0.35)
    mass = [(pixels.sum(axis=1 - axis) * np.arange(28)).sum() / pixels.sum() for axis in (0, 1)]
    assert mass == pytest.approx([14, 14], abs=0.51)


@pytest.mark.parametrize(
    ("reason", "content"),
    [
        ("is blank", lambda: picture_file(Image.new("L", (50, 60), 200))),
        ("hardly anything", lambda: picture_file(Image.effect_noise((99, 99), 3))),
        ("hardly anything", lambda: picture_file(Image.fromarray(np.pad(DOT, 150, constant_values=255)))),
    ],
)
def test_empty_pictures(reason: str, content: Callable[[], io.BytesIO]) -> None:
    """A picture that shows nothing is refused with the reason."""
    with pytest.raises(BadSource, match=reason):
        to_model_input(decode(content()), SIZE)
