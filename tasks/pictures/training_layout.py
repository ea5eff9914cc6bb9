"""How do training images lie, and which images lie as they do?"""

from typing import Literal

import numpy as np

from artifacts.storage.arrays import Bool, RawImages, Rows
from tasks.pictures.conventions import Conventions

MEASURED = 4096
"""Images that are measured, evenly spaced over the training images."""
VISIBLE = 0.1
"""Distance from the ground, as a share of an image's contrast, from which a pixel belongs to what the image shows."""
PIXELS = 2
"""Pixels by which an image may lie otherwise than nearly all training images and still count as one like them."""


class _Layout:
    """Where each of n images, of a ground of one grey, shows something. Lengths are in pixels."""

    def __init__(self, images: RawImages, ground: int):
        distance = np.maximum(images, ground) - np.minimum(images, ground)
        self.contrast = distance.max(axis=(1, 2))
        limit = np.maximum(self.contrast, 1)[:, None, None]
        shown = distance > VISIBLE * limit
        bounds = [_bounds(shown.any(axis=axis)) for axis in (2, 1)]
        self.lengths = np.stack([last - first + 1 for first, last in bounds], axis=1)
        mass = [_centre_of_mass(distance.sum(axis=axis, dtype=np.float64)) for axis in (2, 1)]
        self.centres = {
            "mass": np.stack(mass, axis=1),
            "box": np.stack([(first + last + 1) / 2 for first, last in bounds], axis=1),
        }
        self.frame = (_frames(distance) > limit[:, 0] / 2).mean(axis=1)
        self.ground_in_frame = (_frames(distance) <= VISIBLE * limit[:, 0]).mean(axis=1)


def measure_conventions(images: RawImages) -> Conventions:
    """The conventions of training images (n, height, width) uint8. Deterministic."""
    images = Rows(images)[np.arange(0, len(images), -(-len(images) // MEASURED))]
    frames = _frames(images)
    ground = int(np.median(frames))
    layout = _Layout(images, ground)
    if np.median(layout.ground_in_frame) < 0.5 or not layout.contrast.any():
        return Conventions(has_ground=False)
    sides = np.array(images.shape[1:])
    is_light = np.median(images.max(axis=(1, 2))) - ground >= ground - np.median(images.min(axis=(1, 2)))
    usual, least = np.median(layout.lengths, axis=0), np.quantile(layout.lengths, 0.05, axis=0)
    is_stretched = bool((least >= 0.85 * usual).all())
    longest = (layout.lengths / sides).max(axis=1)
    box = usual / sides if is_stretched else np.full(2, np.median(longest))
    shares = layout.lengths / sides if is_stretched else longest[:, None].repeat(2, axis=1)
    low, high = np.quantile(shares, (0.001, 0.999), axis=0)
    centre: Literal["mass", "box"] = min(("mass", "box"), key=lambda name: _spread(layout.centres[name]).mean())
    middle = np.median(layout.centres[centre], axis=0)
    offset = np.quantile(np.abs(layout.centres[centre] - middle).max(axis=1), 0.999)
    return Conventions(
        ground=ground,
        ink=int(np.median(images.max(axis=(1, 2)) if is_light else images.min(axis=(1, 2)))),
        box=_pair(box),
        is_stretched=is_stretched,
        centre=centre,
        place=_pair(np.rint(2 * middle) / 2 / sides),
        least_box=_pair(low - PIXELS / sides),
        most_box=_pair(high + PIXELS / sides),
        offset=float((offset + PIXELS) / sides.max()),
        frame=float(np.quantile(layout.frame, 0.999) + PIXELS / frames.shape[1]),
    )


def looks_trained(images: RawImages, conventions: Conventions) -> Bool[np.ndarray, " n"]:
    """Which images (n, height, width) uint8, of the model's size or in its proportions, lie as the training images."""
    if not conventions.has_ground:
        return np.asarray(images.max(axis=(1, 2)) > images.min(axis=(1, 2)))
    layout, sides = _Layout(images, conventions.ground), np.array(images.shape[1:])
    shares = layout.lengths / sides
    if not conventions.is_stretched:
        shares = shares.max(axis=1, keepdims=True)
    highest = np.array(conventions.most_box)
    away = np.abs(layout.centres[conventions.centre] - np.array(conventions.place) * sides).max(axis=1)
    ink = np.where(images.mean(axis=(1, 2)) >= conventions.ground, 1, -1) * (conventions.ink - conventions.ground)
    return np.asarray(
        (shares >= np.array(conventions.least_box)[: shares.shape[1]]).all(axis=1)
        & (shares <= highest[: shares.shape[1]]).all(axis=1)
        & (away <= conventions.offset * sides.max())
        & (layout.frame <= conventions.frame)
        & ((layout.ground_in_frame >= 0.5) | conventions.fills_frame)
        & (layout.contrast >= 0.3 * abs(conventions.ink - conventions.ground))
        & (ink > 0)
    )


def _frames(images: np.ndarray) -> np.ndarray:
    """The outermost pixels (n, m) of images (n, height, width)."""
    return np.concatenate([images[:, 0], images[:, -1], images[:, 1:-1, 0], images[:, 1:-1, -1]], axis=1)


def _bounds(shown: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first and the last True of each row of (n, m)."""
    return shown.argmax(axis=1), shown.shape[1] - 1 - shown[:, ::-1].argmax(axis=1)


def _centre_of_mass(profile: np.ndarray) -> np.ndarray:
    return np.asarray(profile @ np.arange(profile.shape[1]) / np.maximum(profile.sum(axis=1), 1))


def _spread(centres: np.ndarray) -> np.ndarray:
    return np.asarray(np.quantile(centres, 0.9, axis=0) - np.quantile(centres, 0.1, axis=0))


def _pair(values: np.ndarray) -> tuple[float, float]:
    first, second = np.asarray(values, np.float64).tolist()
    return first, second
