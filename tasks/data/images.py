"""Decode pictures to grey pixels, bring numbers of other types to bytes, and rescale uint8 pixels for the network."""

import warnings
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from artifacts.errors import BadSource, DigitflowError, is_transient
from artifacts.storage.arrays import Images, RawImages, UInt8
from tasks.data.datasets import FORMAT_NAMES

Grey = UInt8[np.ndarray, "_ _"]  # each of its own height and width

FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "TIFF", "GIF")
"""The picture formats that are decoded, as Pillow names them; HEIF comes with the extra `heic`."""
SUFFIXES = (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".dib", ".webp", ".tif", ".tiff", ".gif")
"""How the names of such pictures end, in lower case."""
MAX_PIXELS = 1 << 26
MAX_JPEG_PIXELS = 1 << 28
"""A larger JPEG than MAX_PIXELS is decoded at a half, a quarter or an eighth of its size."""
_ORIENTATION = 0x0112
_TURNS = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}
"""Pillow's transposition for each EXIF orientation. `ImageOps.exif_transpose` fails where other tags are odd."""


class GreyImage(NamedTuple):
    """Grey pixels (height, width), and each change that was made to the picture, in words."""

    pixels: Grey
    changes: tuple[str, ...]


def decode(file: Path | BytesIO, max_pixels: int = MAX_PIXELS) -> GreyImage:
    """Decode a picture in one of FORMATS, of any size, to grey pixels. Raises BadSource.

    Of several frames the first is taken. A JPEG of more than `max_pixels` is decoded at a reduced scale.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with _open(file) as opened:
            reduced = _reduce_jpeg(opened, max_pixels)
            if opened.width * opened.height > max_pixels:
                raise BadSource(f"has {opened.width:,} by {opened.height:,} pixels, more than {max_pixels:,}")
            frames = getattr(opened, "n_frames", 1)
            turn = _TURNS.get(opened.getexif().get(_ORIENTATION, 1))
            pixels, changes = _grey(opened.transpose(Image.Transpose[turn]) if turn else opened)
    except UnidentifiedImageError:
        raise BadSource(_what_it_is(file)) from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise BadSource(f"has more than {max_pixels:,} pixels") from None
    except DigitflowError:
        raise
    except Exception as error:  # Pillow raises many types for damaged files
        if is_transient(error):
            raise DigitflowError(f"{file} cannot be read now: {error}; run again when it can") from error
        what = (isinstance(error, OSError) and error.strerror) or " ".join(str(error).split())
        raise BadSource(f"cannot be read: {what}") from None
    first = (f"the first of its {frames} frames",) * (frames > 1)
    return GreyImage(pixels, (*reduced, *first, *("turned as its EXIF says",) * bool(turn), *changes))


def can_read_heic() -> bool:
    """Whether the extra `heic` is installed. Pillow can read HEIC from then on."""
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        return False
    register_heif_opener()
    return True


def is_heic(head: bytes) -> bool:
    """Whether a file that begins with `head` is HEIC, as phones write it (ISO/IEC 23008-12: its brands)."""
    return head[4:8] == b"ftyp" and head[8:12] in (b"heic", b"heix", b"heim", b"heis", b"mif1", b"msf1", b"hevc")


def _open(file: Path | BytesIO) -> Any:
    """The picture in a file, whose pixels are not decoded yet."""
    from PIL import Image, JpegImagePlugin

    head = _head(file)
    if head.startswith(b"\xff\xd8\xff"):  # Image.open refuses large ones before they can be reduced
        return JpegImagePlugin.JpegImageFile(file)
    heic = ("HEIF",) * (is_heic(head) and can_read_heic())
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        return Image.open(file, formats=(*FORMATS, *heic))


def _head(file: Path | BytesIO) -> bytes:
    if isinstance(file, BytesIO):
        return file.getvalue()[:16]
    with file.open("rb") as opened:
        return opened.read(16)


def _what_it_is(file: Path | BytesIO) -> str:
    """Why a file that Pillow does not know is not read."""
    head = _head(file)
    if not is_heic(head):
        return f"is no {FORMAT_NAMES} image" + ", but empty" * (not head)
    if can_read_heic():
        return "cannot be read: it is a damaged HEIC"
    return f"is no {FORMAT_NAMES} image, but HEIC; install digitflow[heic] to read it"


def _reduce_jpeg(opened: Any, max_pixels: int) -> tuple[str, ...]:
    """Set a large JPEG to be decoded at a reduced scale, and say so; other pictures stay as they are."""
    width, height = opened.size
    if opened.format != "JPEG" or not max_pixels < width * height <= MAX_JPEG_PIXELS:
        return ()
    factor = next((f for f in (2, 4, 8) if (width // f + 1) * (height // f + 1) <= max_pixels), 8)
    opened.draft(None, (width // factor, height // factor))
    return (f"decoded at 1/{factor} of its {width}×{height} pixels",)


def _grey(picture: Any) -> tuple[Grey, tuple[str, ...]]:
    if picture.mode.startswith(("I", "F")):
        values = np.asarray(picture)
        depth = Depth.of([values])
        return depth.to_bytes(values), (depth.change or "16 bits made 8",)
    coloured = ("made grey",) * (picture.mode not in ("1", "L", "LA"))
    if not picture.has_transparency_data:
        return np.asarray(picture.convert("L")), coloured
    grey, alpha = np.moveaxis(np.asarray(picture.convert("RGBA").convert("LA"), np.float32), 2, 0)
    if alpha.min() == 255:
        return grey.astype(np.uint8), coloured
    is_dark = (grey * alpha).sum() < 127.5 * alpha.sum()
    paper = 255 if is_dark else 0
    laid = np.rint(paper + (grey - paper) * alpha / 255).astype(np.uint8)
    return laid, (*coloured, f"laid on {'white' if is_dark else 'black'}, because it is transparent")


class Depth(NamedTuple):
    """Which of its values a picture or an array uses, and so how they become bytes.

    `low` and `high` are its least and greatest value; `is_whole`, whether all values are whole numbers.
    """

    dtype: np.dtype[Any]
    low: float
    high: float
    is_whole: bool

    @classmethod
    def of(cls, parts: Iterable[np.ndarray]) -> "Depth":
        """Measure all parts of an array. Raises BadSource if a value is not finite."""
        low, high, is_whole, dtype = np.inf, -np.inf, True, np.dtype(np.uint8)
        for part in parts:
            dtype = part.dtype
            low, high = min(low, float(part.min())), max(high, float(part.max()))
            if not np.isfinite((low, high)).all():
                raise BadSource("has values that are no finite numbers")
            is_whole = is_whole and (dtype.kind != "f" or bool((np.rint(part) == part).all()))
        return cls(dtype, low, high, is_whole)

    @property
    def bits(self) -> int:
        """The number of bits that the greatest value takes."""
        return int(self.high).bit_length()

    @property
    def is_narrow(self) -> bool:
        """Whether the values lie far from 0 and close to each other, as after an offset."""
        return self.bits > 8 and (self.high - self.low) * 16 < 2**self.bits

    @property
    def change(self) -> str:
        """What becomes of the values, in words; nothing if they are bytes already."""
        if self.is_unit:
            return "values of 0 to 1 made 0 to 255"
        if self.low < 0 or self.is_narrow or (not self.is_whole and self.high > 255):
            return f"values of {self.low:,.6g} to {self.high:,.6g} made 0 to 255"
        if self.dtype.itemsize > 1 and self.dtype.kind in "ui" and self.bits > 8:
            used = f"{8 * self.dtype.itemsize} bits"
            return f"{used} made 8" if self.bits == 8 * self.dtype.itemsize else f"{self.bits} of {used} made 8"
        return "" if self.bits <= 8 else f"{self.bits} bits made 8"

    @property
    def is_unit(self) -> bool:
        """Whether the values are shares of white: numbers of 0 to 1 that are not bytes."""
        return self.dtype != np.uint8 and self.low >= 0 and 0 < self.high <= 1

    def to_bytes(self, values: np.ndarray) -> np.ndarray:
        """The values as uint8: bytes stay, shares are spread, of more bits the highest 8 stay, an offset is removed."""
        if self.is_unit:
            return np.rint(values.astype(np.float32) * 255).astype(np.uint8)
        if self.low < 0 or self.is_narrow or (not self.is_whole and self.high > 255):
            spread = (values.astype(np.float64) - self.low) * (255 / max(self.high - self.low, 1e-9))
            return np.rint(spread).astype(np.uint8)
        if self.bits > 8:
            return (values.astype(np.int64) >> (self.bits - 8)).astype(np.uint8)
        return np.rint(values).astype(np.uint8) if values.dtype.kind == "f" else values.astype(np.uint8)


def rescale(images: RawImages) -> Images:
    """Map uint8 pixels in [0, 255] to float32 in [-0.5, 0.5] and add the channel axis."""
    return images[..., np.newaxis] / np.float32(255) - np.float32(0.5)
