"""Pictures are decoded to the grey pixels that a person sees, or refused with the reason."""

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from artifacts.errors import BadSource
from tasks.data.images import decode
from tests.pictures import exif, picture_file, seven, transparent


@pytest.mark.parametrize(
    ("changes", "write"),
    [
        ((), lambda ink: picture_file(Image.fromarray(ink))),
        ((), lambda ink: picture_file(Image.fromarray(ink), "BMP")),
        (("made grey",), lambda ink: picture_file(Image.fromarray(ink).convert("RGB"))),
        (("turned as its EXIF says",), lambda ink: picture_file(Image.fromarray(np.rot90(ink)), exif=exif(6))),
        (("16 bits made 8",), lambda ink: picture_file(Image.fromarray(ink.astype(np.uint16) * 257))),
        (("laid on black, because it is transparent",), lambda ink: transparent(ink, 255)),
    ],
)
def test_same_pixels_in_each_file(changes: tuple[str, ...], write: Callable[[np.ndarray], io.BytesIO]) -> None:
    """The same drawing gives the same pixels from each kind of file, with a list of what was changed."""
    decoded = decode(write(seven()))
    np.testing.assert_array_equal(decoded.pixels, seven())
    assert decoded.changes[-len(changes) or None :] == changes


def test_dark_ink_is_laid_on_white() -> None:
    """A transparent picture with dark ink is laid on white, so that the ink stays visible."""
    decoded = decode(transparent(seven(), 0))
    np.testing.assert_array_equal(decoded.pixels, 255 - seven())
    assert "laid on white, because it is transparent" in decoded.changes


def test_odd_exif() -> None:
    """A photograph is turned as its EXIF says, even if another EXIF tag has an invalid value."""
    tags = exif(6)
    tags[0x010E] = "seven"
    stored = picture_file(Image.fromarray(np.rot90(seven())), "JPEG", exif=tags).getvalue()
    turned = decode(io.BytesIO(stored.replace(b"\x01\x0e\x00\x02", b"\x01\x1a\x00\x02")))  # a resolution in words
    assert turned.changes == ("turned as its EXIF says",)
    assert np.abs(turned.pixels.astype(int) - seven()).mean() < 20


@pytest.mark.parametrize(
    ("reason", "content"),
    [
        ("no PNG, JPEG or BMP", lambda: io.BytesIO(b"seven")),
        ("no PNG, JPEG or BMP", lambda: picture_file(Image.fromarray(seven()), "TIFF")),
        ("cannot be read", lambda: io.BytesIO(picture_file(Image.fromarray(seven())).getvalue()[:200])),
        ("more than 67,108,864", lambda: picture_file(Image.new("1", (9000, 9000)))),
        ("more than 67,108,864", lambda: picture_file(Image.new("1", (14000, 14000)))),
    ],
)
def test_bad_pictures(reason: str, content: Callable[[], io.BytesIO]) -> None:
    """A file that is no picture, is damaged or is too large is refused with the reason."""
    with pytest.raises(BadSource, match=reason):
        decode(content())
