"""Decode pictures to grey pixels, and rescale uint8 pixels for the network."""

import warnings
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import UInt8

from artifacts.errors import BadSource, DigitflowError, is_transient
from artifacts.storage.arrays import Images, RawImages

Grey = UInt8[np.ndarray, "_ _"]  # each of its own height and width

FORMATS = ("PNG", "JPEG", "BMP")
"""The picture formats that are decoded, as Pillow names them."""
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp")
"""How the names of such pictures end, in lower case."""
FORMAT_NAMES = f"{', '.join(FORMATS[:-1])} or {FORMATS[-1]}"
"""The formats, for messages and help texts."""
MAX_PIXELS = 1 << 26
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
    """Decode a picture in one of FORMATS, of any size, to grey pixels. Raises BadSource."""
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            opened = Image.open(file, formats=FORMATS)
        with opened:
            if opened.width * opened.height > max_pixels:
                raise BadSource(f"has {opened.width:,} by {opened.height:,} pixels, more than {max_pixels:,}")
            turn = _TURNS.get(opened.getexif().get(_ORIENTATION, 1))
            pixels, changes = _grey(opened.transpose(Image.Transpose[turn]) if turn else opened)
    except UnidentifiedImageError:
        raise BadSource(f"is no {FORMAT_NAMES} image") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise BadSource(f"has more than {max_pixels:,} pixels") from None
    except DigitflowError:
        raise
    except Exception as error:  # Pillow raises many types for damaged files
        if is_transient(error):
            raise DigitflowError(f"{file} cannot be read now: {error}; run again when it can") from error
        what = (isinstance(error, OSError) and error.strerror) or " ".join(str(error).split())
        raise BadSource(f"cannot be read: {what}") from None
    return GreyImage(pixels, ("turned as its EXIF says",) * bool(turn) + changes)


def _grey(picture: Any) -> tuple[Grey, tuple[str, ...]]:
    if picture.mode.startswith(("I", "F")):
        return (np.clip(np.asarray(picture), 0, 65535).astype(np.uint16) >> 8).astype(np.uint8), ("16 bits made 8",)
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


def rescale(images: RawImages) -> Images:
    """Map uint8 pixels in [0, 255] to float32 in [-0.5, 0.5] and add the channel axis."""
    return images[..., np.newaxis] / np.float32(255) - np.float32(0.5)
