"""Bring scans, photographs and drawings to an image as the model was trained on, and say what was done to each."""

from collections.abc import Sequence

import numpy as np

from artifacts.errors import BadSource, SeveralShapes
from tasks.data.images import GreyImage
from tasks.pictures.conventions import MNIST, Conventions
from tasks.pictures.paper import Ink, find_ink
from tasks.pictures.shapes import find_shapes
from tasks.pictures.training_layout import looks_trained

INVERTED = {True: "inverted, because it is dark on light", False: "inverted, because it is light on dark"}
"""What is said of a picture that is dark on light, or light on dark, unlike the training images."""
LONGEST = 16
"""How many times longer than wide a picture is at most. A longer one is a table of numbers, not a picture."""


def to_model_input(picture: GreyImage, shape: Sequence[int], conventions: Conventions = MNIST) -> GreyImage:
    """Bring a picture to the model's `shape` (height, width) and conventions, and add each change to its `changes`.

    Raises BadSource if nothing is drawn or it cannot be told what is, SeveralShapes if there are several separate ones.
    """
    images = to_model_inputs(picture, shape, conventions)
    if len(images) > 1:
        raise SeveralShapes(len(images))
    return images[0]


def to_model_inputs(
    picture: GreyImage, shape: Sequence[int], conventions: Conventions = MNIST
) -> tuple[GreyImage, ...]:
    """Each separate shape of a picture as an image of its own, as `to_model_input` gives, from left to right."""
    grey = picture.pixels
    if not grey.size or grey.min() == grey.max():
        raise BadSource("is blank: all its pixels are the same")
    if max(grey.shape) > LONGEST * min(grey.shape):
        raise BadSource(
            f"has {grey.shape[0]} rows of {grey.shape[1]} pixels; give pictures (height, width) of one shape"
        )
    if taken := _taken_whole(picture, shape, conventions):
        return (taken,)
    inked = find_ink(grey)
    shapes, left_out = find_shapes(inked.ink)
    changes = picture.changes + inked.changes + left_out
    if inked.is_dark == (conventions.ink > conventions.ground):
        changes += (INVERTED[inked.is_dark],)
    return tuple(_fitted(ink, shape, conventions, changes) for ink in shapes)


def keep_trained(
    pictures: Sequence[GreyImage], shape: Sequence[int], conventions: Conventions
) -> list[GreyImage | None]:
    """Those of the pictures that have the model's size and lie as the training images, at most inverted; else None.

    All are looked at together, so that thousands take no longer than they must.
    """
    found: list[GreyImage | None] = [None] * len(pictures)
    places = [i for i, picture in enumerate(pictures) if picture.pixels.shape == tuple(shape)]
    if places:
        images = np.stack([pictures[i].pixels for i in places])
        fits = looks_trained(images, conventions)
        fits_inverted = np.zeros_like(fits)
        if not fits.all():
            fits_inverted[~fits] = looks_trained(255 - images[~fits], conventions)
        for place, image, is_kept, is_turned in zip(places, images, fits, fits_inverted, strict=True):
            if is_kept:
                found[place] = GreyImage(image, pictures[place].changes)
            elif is_turned:
                inverted = INVERTED[conventions.ink > conventions.ground]
                found[place] = GreyImage(255 - image, (*pictures[place].changes, inverted))
    return found


def _taken_whole(picture: GreyImage, shape: Sequence[int], conventions: Conventions) -> GreyImage | None:
    """The picture, at most scaled as a whole and inverted, if it then lies as the training images; else None."""
    from PIL import Image

    grey, (height, width) = picture.pixels, shape
    if grey.shape == (height, width):
        return keep_trained([picture], shape, conventions)[0]
    is_alike = abs(grey.shape[0] * width - grey.shape[1] * height) <= 0.05 * grey.shape[1] * height
    if conventions.has_ground and not (conventions.fills_frame and is_alike):
        return None
    scaled = np.asarray(Image.fromarray(grey).resize((width, height), Image.Resampling.BOX))
    changes = (*picture.changes, f"scaled to {width}×{height}")
    return keep_trained([GreyImage(scaled, changes)], shape, conventions)[0]


def _fitted(ink: Ink, shape: Sequence[int], conventions: Conventions, changes: tuple[str, ...]) -> GreyImage:
    """An image of `shape` in which the ink lies as the conventions have it, and the changes with those made here."""
    scaled = _scaled(ink, shape, conventions)
    height, width = shape
    image = np.zeros((height, width), np.float32)
    top, left = _corner(scaled, shape, conventions)
    image[top : top + scaled.shape[0], left : left + scaled.shape[1]] = scaled
    pixels = np.rint(conventions.ground + (conventions.ink - conventions.ground) * image).astype(np.uint8)
    cropped = f"cropped to {ink.shape[1]}×{ink.shape[0]}, scaled to {scaled.shape[1]}×{scaled.shape[0]}"
    return GreyImage(pixels, (*changes, cropped, f"centred by {conventions.centre} in {width}×{height}"))


def _scaled(ink: Ink, shape: Sequence[int], conventions: Conventions) -> Ink:
    """The ink scaled to fill the box, in [0, 1]."""
    from PIL import Image

    box = [max(1, round(share * side)) for share, side in zip(conventions.box, shape, strict=True)]
    factors = [side / length for side, length in zip(box, ink.shape, strict=True)]
    if not conventions.is_stretched:
        factors = [min(factors)] * 2
    height, width = (max(1, round(factor * length)) for factor, length in zip(factors, ink.shape, strict=True))
    resampling = Image.Resampling.BOX if max(factors) < 1 else Image.Resampling.BILINEAR
    scaled = np.asarray(Image.fromarray(ink).resize((width, height), resampling)).clip(0)
    return np.asarray(scaled / scaled.max(), np.float32)


def _corner(ink: Ink, shape: Sequence[int], conventions: Conventions) -> list[int]:
    """The row and the column at which the ink begins, so that its centre is where the conventions have it.

    The centre of mass is counted in pixels from 0, as in MNIST. The ink stays whole.
    """
    starts = []
    for axis, (side, length) in enumerate(zip(shape, ink.shape, strict=True)):
        centre = length / 2
        if conventions.centre == "mass":
            mass = ink.sum(axis=1 - axis, dtype=np.float64)
            centre = float((np.arange(length) * mass).sum() / mass.sum())
        starts.append(min(max(round(conventions.place[axis] * side - centre), 0), side - length))
    return starts
