"""However a digit comes, photographed, scanned or drawn, the model sees what it was trained on."""

import io
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from artifacts.errors import BadSource
from tasks.data.images import GreyImage, decode
from tasks.prediction.preprocessing import BOX, fit
from tests.conftest import Arrays

SIZE = (28, 28)


def seven(side: int = 200) -> np.ndarray:
    """A thick seven, white on black."""
    image = np.zeros((side, side), np.uint8)
    image[side // 5 : side // 4, side // 4 : 3 * side // 4] = 255
    for y in range(side // 5, 4 * side // 5):
        x = 3 * side // 4 - (y - side // 5) * side // 3 // (3 * side // 5)
        image[y, x - side // 16 : x] = 255
    return image


def file(image: Image.Image, kind: str = "PNG", **options: object) -> io.BytesIO:
    image.save(buffer := io.BytesIO(), kind, **options)
    buffer.seek(0)
    return buffer


def transparent(ink: np.ndarray, shade: int) -> io.BytesIO:
    layers = [np.full_like(ink, shade)] * 3 + [ink]
    return file(Image.fromarray(np.stack(layers, axis=-1), "RGBA"))


def exif(orientation: int) -> Image.Exif:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


def test_own_size_is_left_alone(digits: Arrays) -> None:
    """An image of the model's size is taken as it is, unless it is dark on light: then it is inverted, and says so."""
    for image in digits[0]:
        assert fit(GreyImage(image, ()), (8, 8)).pixels is image
        turned = fit(GreyImage(255 - image, ()), (8, 8))
        assert not turned.changes or (turned.pixels == image).all()


@pytest.mark.parametrize(
    ("change", "write"),
    [
        ("cropped", lambda ink: file(Image.fromarray(ink))),
        ("inverted", lambda ink: file(Image.fromarray(255 - ink), "BMP")),
        ("made grey", lambda ink: file(Image.fromarray(ink).convert("RGB"))),
        ("turned", lambda ink: file(Image.fromarray(np.rot90(ink)), exif=exif(6))),
        ("laid on white", lambda ink: transparent(ink, 0)),
        ("laid on black", lambda ink: transparent(ink, 255)),
        ("16 bits", lambda ink: file(Image.fromarray(ink.astype(np.uint16) * 257))),
    ],
)
def test_however_it_is_stored(change: str, write: Callable[[np.ndarray], io.BytesIO]) -> None:
    """The same drawing gives the same pixels in each kind of file, and what was done is told."""
    fitted = fit(decode(write(seven())), SIZE)
    np.testing.assert_array_equal(fitted.pixels, fit(GreyImage(seven(), ()), SIZE).pixels)
    assert any(told.startswith(change) for told in fitted.changes)


def test_photograph() -> None:
    """Grey ink on paper in uneven light, with noise, in a large JPEG, gives almost the pixels of the drawing."""
    ink = seven(600) / 255
    y, x = np.mgrid[0:1:600j, 0:1:600j]
    paper = 140 + 70 * x - 50 * y + np.random.default_rng(0).normal(0, 4, ink.shape)
    photo = (paper * (1 - 0.7 * ink)).clip(0, 255).astype(np.uint8)
    fitted = fit(decode(file(Image.fromarray(photo), "JPEG", quality=80)), SIZE)
    wanted = fit(GreyImage(seven(600), ()), SIZE).pixels
    assert np.abs(fitted.pixels.astype(int) - wanted).mean() < 4
    assert fitted.pixels[0].max() == 0


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
    pixels = fit(GreyImage(image, ()), SIZE).pixels
    rows, columns = (np.nonzero(pixels.any(axis=axis))[0] for axis in (1, 0))
    sides = [np.ptp(where) + 1 for where in (rows, columns)]
    assert pixels.max() == 255 and max(sides) == round(BOX * 28)
    assert sides[0] / sides[1] == pytest.approx(height / width, rel=0.35)
    mass = [(pixels.sum(axis=1 - axis) * np.arange(28)).sum() / pixels.sum() for axis in (0, 1)]
    assert mass == pytest.approx([14, 14], abs=0.51)


def test_odd_exif() -> None:
    """A photograph is turned as its EXIF says, whatever else is written there."""
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "seven"
    stored = file(Image.fromarray(np.rot90(seven())), "JPEG", exif=exif).getvalue()
    turned = decode(io.BytesIO(stored.replace(b"\x01\x0e\x00\x02", b"\x01\x1a\x00\x02")))  # a resolution in words
    assert turned.changes == ("turned as its EXIF says",)
    assert np.abs(turned.pixels.astype(int) - seven()).mean() < 20


@pytest.mark.parametrize(
    ("told", "content"),
    [
        ("no PNG, JPEG or BMP", lambda: io.BytesIO(b"seven")),
        ("no PNG, JPEG or BMP", lambda: file(Image.fromarray(seven()), "TIFF")),
        ("cannot be read", lambda: io.BytesIO(file(Image.fromarray(seven())).getvalue()[:200])),
        ("more than 67,108,864", lambda: file(Image.new("1", (9000, 9000)))),
        ("more than 67,108,864", lambda: file(Image.new("1", (14000, 14000)))),
        ("is blank", lambda: file(Image.new("L", (50, 60), 200))),
        ("hardly anything", lambda: file(Image.effect_noise((99, 99), 3))),
        ("hardly anything", lambda: file(Image.fromarray(np.pad([[254]], 150, constant_values=255).astype(np.uint8)))),
    ],
)
def test_bad_pictures(told: str, content: Callable[[], io.BytesIO]) -> None:
    """What is no picture, is damaged, too large, or shows nothing is refused in words."""
    with pytest.raises(BadSource, match=told):
        fit(decode(content()), SIZE)
