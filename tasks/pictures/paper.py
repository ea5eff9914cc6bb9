"""Where is the paper in a picture, and what is ink on it? Shadows, desks and the light of a lamp are not."""

from typing import Any, NamedTuple

import numpy as np

from artifacts.errors import BadSource
from artifacts.storage.arrays import Bool, Float32
from tasks.data.images import Grey

Ink = Float32[np.ndarray, "_ _"]
Mask = Bool[np.ndarray, "_ _"]

WORKING = 256
"""Longest side, in pixels, of the reduced picture in which ink is told from paper."""
POOLED = 4
"""Of the pixels that become one, up to 4 by 4 blocks of which the darkest counts, so that a thin pen does not fade."""
WINDOW = 0.5
"""Side of the window that a stroke is narrower than, as a share of the picture's longest side."""
SHADOW = 0.25
"""Greatest share of the light that a shadow takes towards the edge of a picture, within half a window."""
DARKEST_PAPER = 40
"""Grey below which paper is not believed, so that a black corner does not look like written paper."""
FAINT, NOISY, SURE = 12, 3, 24
"""A threshold between ink and paper below FAINT separates only noise, and so does one below SURE that is less than
NOISY standard deviations of the paper away from it."""
NO_CONTRAST = "shows hardly anything: ink and paper are almost the same"
SHEET = 0.2
"""Least share of the picture that a sheet of paper on a desk covers."""


class Inked(NamedTuple):
    """A reduced picture as `ink`: how far each pixel is from the paper, in grey levels of 0 to about 255."""

    ink: Ink
    is_dark: bool
    changes: tuple[str, ...]


def find_ink(grey: Grey) -> Inked:
    """Tell ink from paper, whichever is darker. Raises BadSource if there is hardly any ink.

    Shadows multiply the light of paper and ink, so that dark ink is measured against the paper around it. Paper is what
    stays after a closing in a WINDOW, which fills strokes (Serra 1982, Image Analysis and Mathematical Morphology).
    """
    factor = -(-max(grey.shape) // WORKING)
    block = -(-factor // POOLED)
    fine = _mean(grey, block)
    pool = -(-factor // block)
    mean, changes = _mean(fine, pool), []
    sheet = find_sheet(mean)
    is_dark = sheet is not None or is_dark_on_light(grey)
    work = _extreme(fine, pool, np.minimum if is_dark else np.maximum).astype(np.float32)
    paper = mean.astype(np.float32)
    if not is_dark:
        work, paper = 255 - work, 255 - paper
    if sheet is not None:
        work, paper = cut_out(work, sheet), cut_out(paper, sheet)
        changes.append("cut out of what lies around the sheet")
    paper = _without_strokes(paper)
    ink = (1 - work / np.maximum(paper, DARKEST_PAPER)) * np.float32(255) if is_dark else paper - work
    require_contrast(ink)
    return Inked(ink, is_dark, tuple(changes))


def is_dark_on_light(grey: Grey) -> bool:
    """Whether most of the outermost pixels are lighter than the middle of the picture's range."""
    return bool((outermost(grey) > (float(grey.min()) + float(grey.max())) / 2).mean() > 0.5)


def outermost(grey: np.ndarray) -> np.ndarray:
    """The outermost pixels of a picture, once around it."""
    return np.concatenate([grey[0], grey[1:, -1], grey[-1, -2::-1], grey[-2:0:-1, 0]])


def threshold_of(values: np.ndarray) -> float:
    """The value that best separates the pixels into two groups (Otsu 1979, doi:10.1109/TSMC.1979.4310076)."""
    if np.ptp(values) == 0:
        return float(values.max())
    counts, edges = np.histogram(values, 256)
    middles = (edges[1:] + edges[:-1]) / 2
    below, mass = np.cumsum(counts), np.cumsum(counts * middles)
    above = below[-1] - below
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (mass / below - (mass[-1] - mass) / above) ** 2
    best = edges[1:-1][between[:-1] >= np.nanmax(between[:-1]) * (1 - 1e-9)]
    return float(best.mean())  # all values between two distant groups separate them equally well


def require_contrast(ink: Ink) -> None:
    """Raises BadSource if what looks like ink is only noise."""
    threshold, typical = threshold_of(ink), np.median(ink)
    noise = 1.4826 * np.median(np.abs(ink - typical))
    if np.ptp(ink) == 0 or threshold < FAINT or (threshold < SURE and threshold - typical < NOISY * noise):
        raise BadSource(NO_CONTRAST)


def find_sheet(grey: Grey) -> Mask | None:
    """The sheet of paper that lies on something darker, with what is written on it; None if there is no such sheet.

    It is the largest light region: nearly a rectangle of at least a share SHEET of the picture that holds something
    darker, touches at most one edge, and ends abruptly, unlike the light of a lamp.
    """
    from scipy import ndimage

    if min(grey.shape) < 64:
        return None
    labels, _ = ndimage.label(grey > threshold_of(grey))
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    light = labels == sizes.argmax()
    rows, columns = light.any(axis=1), light.any(axis=0)
    touched = int(rows[0]) + int(rows[-1]) + int(columns[0]) + int(columns[-1])
    if touched > 1 or light.sum() < SHEET / 2 * light.size:
        return None
    sheet = ndimage.binary_fill_holes(light)
    size = sheet.sum()
    if size < SHEET * sheet.size or not 0.75 * size < light.sum() < 0.998 * size:
        return None
    return sheet if size >= 0.85 * _rectangle(sheet) and _ends_abruptly(grey, sheet) else None


def cut_out(grey: Ink, sheet: Mask) -> Ink:
    """The part of a picture that holds the sheet. What lies around it becomes the nearest paper; so does its rim."""
    from scipy import ndimage

    inner = ndimage.binary_erosion(sheet, iterations=3, border_value=1)
    rows, columns = (np.flatnonzero(inner.any(axis=axis)) for axis in (1, 0))
    part = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    nearest = ndimage.distance_transform_edt(~inner[part], return_distances=False, return_indices=True)
    return np.asarray(grey[part][tuple(nearest)])


def _without_strokes(light: Ink) -> Ink:
    """The picture with all that is darker than its surroundings, and narrower than the WINDOW, filled.

    Beyond the edge the picture is mirrored where ink reaches the edge, so that it is filled. Elsewhere its outermost
    pixels go on, so that a shadow that grows up to the edge does not count as ink.
    """
    from scipy import ndimage

    half = int(WINDOW * max(light.shape) / 2)
    size = (2 * half + 1, 2 * half + 1)
    mirrored = ndimage.grey_closing(light, size=size)
    going_on = ndimage.grey_closing(np.pad(light, half, mode="edge"), size=size)[half:-half, half:-half]
    return np.asarray(np.where(mirrored - going_on > SHADOW * np.maximum(mirrored, 128), mirrored, going_on))


def _ends_abruptly(grey: Grey, sheet: Mask) -> bool:
    """Whether most of the difference between the sheet and the rest lies at its border."""
    from scipy import ndimage

    inside = [ndimage.binary_erosion(sheet, iterations=n, border_value=1) for n in (2, 4)]
    outside = [ndimage.binary_dilation(sheet, iterations=n) for n in (2, 4)]
    within, without = grey[inside[0] & ~inside[1]], grey[outside[1] & ~outside[0]]
    if not within.size or not without.size:
        return False
    step = np.median(within) - np.median(without)
    return bool(step >= 0.6 * (np.median(grey[sheet]) - np.median(grey[~sheet])))


def _rectangle(mask: Mask) -> float:
    """The area of the smallest rectangle, at any angle, around a region. One of its sides lies on the convex hull."""
    from scipy import ndimage
    from scipy.spatial import ConvexHull

    hull = ConvexHull(np.argwhere(mask & ~ndimage.binary_erosion(mask)))
    corners = hull.points[hull.vertices]
    sides = np.diff(corners, axis=0, append=corners[:1])
    along = sides / np.linalg.norm(sides, axis=1, keepdims=True)
    across = np.stack([-along[:, 1], along[:, 0]], axis=1)
    return float((np.ptp(corners @ along.T, axis=0) * np.ptp(corners @ across.T, axis=0)).min())


def _mean(grey: Grey, factor: int) -> Grey:
    """The mean of blocks of pixels; incomplete ones at the edge are left out."""
    from PIL import Image

    if factor == 1:
        return grey
    height, width = (side // factor for side in grey.shape)
    return np.asarray(Image.fromarray(grey).reduce(factor))[:height, :width]


def _extreme(grey: Grey, factor: int, choose: Any) -> Grey:
    """The darkest or lightest pixel of blocks, as `choose` takes two."""
    for _ in range(2):
        length = len(grey) // factor * factor
        parts = [grey[i:length:factor] for i in range(factor)]
        chosen = parts[0]
        for part in parts[1:]:
            chosen = choose(chosen, part)
        grey = chosen.T
    return grey
