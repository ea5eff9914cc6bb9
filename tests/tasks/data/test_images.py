"""Pictures are decoded to the grey pixels that a person sees, or refused with the reason."""

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from artifacts.errors import BadSource
from tasks.data.images import FORMATS, decode
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
        ("no PNG, JPEG, BMP, WebP, TIFF or GIF", lambda: io.BytesIO(b"seven")),
        ("no PNG, JPEG, BMP, WebP, TIFF or GIF", lambda: picture_file(Image.fromarray(seven()), "PPM")),
        ("cannot be read", lambda: io.BytesIO(picture_file(Image.fromarray(seven())).getvalue()[:200])),
        ("more than 67,108,864", lambda: picture_file(Image.new("1", (9000, 9000)))),
        ("more than 67,108,864", lambda: picture_file(Image.new("1", (14000, 14000)))),
    ],
)
def test_bad_pictures(reason: str, content: Callable[[], io.BytesIO]) -> None:
    """A file that is no picture, is damaged or is too large is refused with the reason."""
    with pytest.raises(BadSource, match=reason):
        decode(content())


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format(kind: str) -> None:
    """Each format gives the drawing, whatever the file is called; what loses a little loses less than 3 grey levels."""
    options = {"lossless": True} if kind == "WEBP" else {}
    decoded = decode(picture_file(Image.fromarray(seven()), kind, **options))
    assert np.abs(decoded.pixels.astype(int) - seven()).mean() < 3 * (kind == "JPEG") + 0.001
    assert decoded.changes in ((), ("made grey",))


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "WEBP", "PNG"])
def test_the_first_frame_counts(kind: str) -> None:
    """Of a picture with several frames the first is decoded, and it is said how many there are."""
    frames = [Image.fromarray(np.roll(seven(), 20 * i, axis=1)) for i in range(3)]
    options = {"lossless": True} if kind == "WEBP" else {}
    decoded = decode(picture_file(frames[0], kind, save_all=True, append_images=frames[1:], **options))
    np.testing.assert_array_equal(decoded.pixels, seven())
    assert decoded.changes[0] == "the first of its 3 frames"


@pytest.mark.parametrize("bits", [8, 9, 10, 12, 14, 16])
def test_sixteen_bits_are_scaled_by_what_is_used(bits: int) -> None:
    """A 16-bit picture that uses fewer bits looks the same, within one grey level, and it is said."""
    wide = (seven().astype(np.uint32) * (2**bits - 1) // 255).astype(np.uint16)
    decoded = decode(picture_file(Image.fromarray(wide)))
    assert np.abs(decoded.pixels.astype(int) - seven()).max() <= 1
    assert decoded.changes == (("16 bits made 8",) if bits in (8, 16) else (f"{bits} of 16 bits made 8",))


@pytest.mark.parametrize(("side", "factor"), [(6000, 1), (10400, 2), (16000, 2)])
def test_large_photographs_are_reduced(side: int, factor: int) -> None:
    """A JPEG of more than 67 megapixels, as phones take them, is decoded at a reduced scale, and it is said."""
    photograph = picture_file(Image.fromarray(seven(200)).resize((side, side // 10 * 9)), "JPEG")
    decoded = decode(photograph)
    assert decoded.pixels.shape == (-(-(side // 10 * 9) // factor), side // factor)
    said = decoded.changes == ((f"decoded at 1/{factor} of its {side}×{side // 10 * 9} pixels",) if factor > 1 else ())
    assert said and decoded.pixels.max() > 200


def test_photographs_beyond_all_measure() -> None:
    """A JPEG that declares more pixels than any camera takes is refused."""
    content = bytearray(picture_file(Image.new("L", (64, 64)), "JPEG").getvalue())
    size = content.index(b"\x00\x40\x00\x40")
    content[size : size + 4] = b"\xff\xff\xff\xff"
    with pytest.raises(BadSource, match=r"65,535 by 65,535 pixels, more than 67,108,864"):
        decode(io.BytesIO(bytes(content)))


def test_heic_that_is_not_read(request: pytest.FixtureRequest) -> None:
    """A phone's HEIC is told as such: without the extra with what to install, and with it, if it is damaged."""
    content = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200)
    with pytest.raises(BadSource, match="it is a damaged HEIC"):
        decode(io.BytesIO(content))
    request.getfixturevalue("without_heic")
    with pytest.raises(BadSource, match=r"but HEIC; install digitflow\[heic\]"):
        decode(io.BytesIO(content))
