"""Which shapes does a picture show? One digit in several strokes is one shape; two digits side by side are two."""

from collections.abc import Callable, Iterable
from functools import reduce
from typing import NamedTuple

import numpy as np

from artifacts.errors import BadSource
from artifacts.storage.arrays import Int
from tasks.pictures.paper import Ink, Mask, outermost, threshold_of

SMALLEST = 0.025
"""Longest side of the smallest shape, as a share of the picture's. A smaller one is a speck."""
LIKELY = 0.06
"""Longest side from which a shape is surely no speck, so that others may be left out for it."""
DUST = 0.05
"""Area, as a share of the largest stroke's, below which a stroke is dust."""
FLAT = 4
"""How much wider than high a printed line is at least. No digit is."""
APART_AREA, APART_HEIGHT, ABOVE = 0.15, 0.5, 0.25
"""Least area and height of a shape, as shares of the largest one's, and least gap between two of which one stands above
the other, as a share of the lower one's height. Less is a part of the shape beside it."""
OVERLAP = 0.1
"""Share of the narrower one's width by which the columns of two separate shapes may overlap."""
EDGE, RUNS, COVERED = 0.5, 8, 0.8
"""Greatest share of ink in the outermost pixels of the picture, the greatest number of places in which it reaches the
edge, and the greatest share of ink in the picture. A digit that was cut out along its ink stays below them."""


PALE = 0.4
"""Threshold, as a share of the darkest ink, from which no other ink is so pale that it may be the paper's print."""
WHOLE = 0.6
"""Least share of the picture's height and width of a stroke that is what the picture shows though it is at the edge."""
MARGIN, CUT_RUNS, DARK = 0.08, 6, 0.6
"""Of a picture that was cut out along its ink: the greatest margin, as a share of its height or width, the greatest
number of places at the edge with ink, and the least darkness of that ink, as a share of the darkest."""


class Shape(NamedTuple):
    """Ink that belongs together: the numbers of its strokes, its bounds (the last ones are not in it), and its area."""

    strokes: tuple[int, ...]
    top: int
    bottom: int
    left: int
    right: int
    area: int

    @property
    def height(self) -> int:
        return self.bottom - self.top

    @property
    def width(self) -> int:
        return self.right - self.left

    @property
    def longest(self) -> int:
        return max(self.height, self.width)

    def holds(self, other: "Shape") -> bool:
        """Whether the other one lies within this one's bounds."""
        is_within = self.top < other.top and other.bottom < self.bottom
        return is_within and self.left < other.left and other.right < self.right

    def joined(self, other: "Shape") -> "Shape":
        """Both as one."""
        return Shape(
            self.strokes + other.strokes,
            min(self.top, other.top),
            max(self.bottom, other.bottom),
            min(self.left, other.left),
            max(self.right, other.right),
            self.area + other.area,
        )

    def distance(self, other: "Shape") -> int:
        """The rows or columns between them, whichever are more."""
        rows = max(other.top - self.bottom, self.top - other.bottom)
        return max(rows, other.left - self.right, self.left - other.right)


class _Labelled(NamedTuple):
    """The strokes above a threshold. `labels` has the number of its stroke for each pixel, or 0."""

    threshold: float
    labels: Int[np.ndarray, "_ _"]
    strokes: list[Shape]

    def touches(self, stroke: Shape) -> bool:
        """Whether a stroke touches the picture's edge."""
        height, width = self.labels.shape
        return stroke.top == 0 or stroke.left == 0 or stroke.bottom == height or stroke.right == width

    @property
    def largest(self) -> Shape:
        """The stroke of the most ink."""
        return max(self.strokes, key=lambda stroke: stroke.area)

    def highest_inside(self) -> int:
        """The height of the highest stroke that does not touch the edge."""
        heights = [stroke.height for stroke in self.strokes if not self.touches(stroke)]
        return max(heights, default=0)

    def mask(self, shapes: Iterable[Shape]) -> Mask:
        """The pixels of some shapes."""
        return np.isin(self.labels, [number for shape in shapes for number in shape.strokes])


def find_shapes(ink: Ink) -> tuple[list[Ink], tuple[str, ...]]:
    """The ink of each shape, line by line from left to right, cut out along it; and what was left out, in words.

    Raises BadSource if the picture shows nothing that can be told from its surroundings.
    """
    found = _find_strokes(ink)
    strokes, left_out = _choose(ink, found)
    if max(stroke.longest for stroke in strokes) < SMALLEST * max(ink.shape):
        raise BadSource("shows only specks; crop it to what it shows")
    _require_margin(found.mask(strokes))
    return [_cut(ink, found, shape) for shape in _group(strokes)], left_out


def _find_strokes(ink: Ink) -> _Labelled:
    """The strokes; only the darker ones if squares or lines of the paper reach the edge and hide others."""
    found = _label(ink, threshold_of(ink))
    if not found.touches(found.largest) or found.threshold > PALE * ink.max():
        return found
    darker = _label(ink, threshold_of(ink[ink >= found.threshold]))
    is_hidden = not darker.touches(darker.largest) and darker.largest.height > 1.25 * found.highest_inside()
    return darker if is_hidden else found


def _label(ink: Ink, threshold: float) -> _Labelled:
    from scipy import ndimage

    inside = ink >= threshold
    bridged, gap = inside, _gap(ink)
    if gap:
        bridged = ndimage.binary_dilation(inside, iterations=gap)
    labels, count = ndimage.label(bridged, np.ones((3, 3)))
    labels = np.where(inside, labels, 0)
    areas = np.bincount(labels.ravel(), minlength=count + 1)
    strokes = [
        Shape((number,), rows.start, rows.stop, columns.start, columns.stop, int(areas[number]))
        for number, (rows, columns) in enumerate(ndimage.find_objects(labels, count), 1)
    ]
    return _Labelled(threshold, labels, strokes)


def _gap(ink: Ink) -> int:
    """Half the gap, in pixels, across which a broken stroke is one."""
    return int(max(ink.shape) / 128 + 0.5)


def _choose(ink: Ink, found: _Labelled) -> tuple[list[Shape], tuple[str, ...]]:
    """The strokes that belong to what is drawn, and in words what was left out."""
    strokes, words = found.strokes, []
    surely = LIKELY * max(found.labels.shape)
    rules: tuple[tuple[str, Callable[[Shape], bool]], ...] = (
        ("what reaches the edge", lambda stroke: found.touches(stroke) and not _is_whole(stroke, found)),
        ("a line", lambda stroke: stroke.width > FLAT * stroke.height),
        ("a frame", lambda stroke: _is_frame(stroke, found)),
    )
    for what, is_unwanted in rules[_is_cut_out(ink, found) :]:
        rest = [stroke for stroke in strokes if not is_unwanted(stroke)]
        if len(rest) < len(strokes) and any(stroke.longest >= surely for stroke in rest):
            strokes = rest
            words.append(f"left out {what}")
    least = DUST * max(stroke.area for stroke in strokes)
    return [stroke for stroke in strokes if stroke.area >= least], tuple(words)


def _is_cut_out(ink: Ink, found: _Labelled) -> bool:
    """Whether strokes reach the edge because the picture was cut out along its ink: it has no margin at any side.

    The largest stroke then comes near to two sides, and all that reach the edge are dark, unlike a shadow.
    """
    height, width = ink.shape

    def near(shape: Shape) -> int:
        margins = shape.top / height, 1 - shape.bottom / height, shape.left / width, 1 - shape.right / width
        return sum(margin <= MARGIN for margin in margins)

    if near(_union(found.strokes)) < 4 or near(found.largest) < 2:
        return False
    edge, outer = outermost(found.labels > 0), [stroke for stroke in found.strokes if found.touches(stroke)]
    is_dark = all(np.median(ink[found.mask([stroke])]) >= DARK * ink.max() for stroke in outer)
    return is_dark and bool(edge.mean() <= EDGE) and _runs(edge) <= CUT_RUNS


def _is_whole(stroke: Shape, found: _Labelled) -> bool:
    """Whether a stroke at the edge is what the picture shows, because it is large and leaves most of the edge free."""
    height, width = found.labels.shape
    edge = outermost(found.labels == stroke.strokes[0])
    is_large = stroke.height >= WHOLE * height and stroke.width >= WHOLE * width
    return is_large and bool(edge.mean() <= EDGE) and _runs(edge) <= RUNS


def _runs(edge: np.ndarray) -> int:
    """In how many places around a picture there is ink."""
    return int((edge & ~np.roll(edge, 1)).sum())


def _is_frame(frame: Shape, found: _Labelled) -> bool:
    """Whether a stroke is printed around another one that is not small: all of it lies near its bounds."""
    if not any(frame.holds(other) and other.height >= 0.3 * frame.height for other in found.strokes):
        return False
    rim = max(2, round(0.1 * min(frame.height, frame.width)))
    middle = found.labels[frame.top + rim : frame.bottom - rim, frame.left + rim : frame.right - rim]
    return bool((middle == frame.strokes[0]).sum() < 0.1 * frame.area)


def _require_margin(ink: Mask) -> None:
    """Raises BadSource if ink fills the picture or its edge, so that nothing says which is ink and which is paper."""
    edge = outermost(ink)
    if edge.mean() > EDGE:
        raise BadSource("has an edge that is no paper; crop it to the paper, with a margin around what it shows")
    if _runs(edge) > RUNS:
        raise BadSource("has lines that reach its edge; crop it to what it shows")
    if ink.mean() > COVERED:
        raise BadSource("is almost full of ink; leave a margin of paper")


def _group(strokes: list[Shape]) -> list[Shape]:
    """Each shape with all its strokes; line by line, from left to right."""
    groups = []
    for column in _gather(strokes, lambda stroke: (stroke.left, stroke.right), -OVERLAP):
        groups += [_union(part) for part in _gather(column, lambda stroke: (stroke.top, stroke.bottom), ABOVE)]
    area, height = max(group.area for group in groups), max(group.height for group in groups)
    shapes = [group for group in groups if group.area >= APART_AREA * area and group.height >= APART_HEIGHT * height]
    for group in groups:
        if group not in shapes:
            distances = [shape.distance(group) for shape in shapes]
            nearest = distances.index(min(distances))
            shapes[nearest] = shapes[nearest].joined(group)
    return _in_reading_order(shapes)


def _gather(strokes: list[Shape], extent: Callable[[Shape], tuple[int, int]], gap: float) -> list[list[Shape]]:
    """Groups of strokes whose extents overlap, or are nearer than a share `gap` of the shorter extent."""
    groups: list[list[Shape]] = []
    for stroke in sorted(strokes, key=extent):
        if groups:
            (first, last), (start, stop) = extent(_union(groups[-1])), extent(stroke)
            if start - last < gap * min(stop - start, last - first):
                groups[-1].append(stroke)
                continue
        groups.append([stroke])
    return groups


def _union(strokes: list[Shape]) -> Shape:
    return reduce(Shape.joined, strokes)


def _in_reading_order(shapes: list[Shape]) -> list[Shape]:
    lines: list[list[Shape]] = []
    for shape in sorted(shapes, key=lambda shape: shape.top):
        if lines and shape.top < max(other.bottom for other in lines[-1]):
            lines[-1].append(shape)
        else:
            lines.append([shape])
    return [shape for line in lines for shape in sorted(line, key=lambda shape: shape.left)]


def _cut(ink: Ink, found: _Labelled, shape: Shape) -> Ink:
    """The ink of a shape with its soft rim, without that of its surroundings."""
    from scipy import ndimage

    mine = found.mask([shape])
    near = ndimage.binary_dilation(mine, iterations=_gap(ink) + 1) & (mine | (found.labels == 0))
    own = np.where(near & (ink >= found.threshold / 2), ink, np.float32(0))
    return own[shape.top : shape.bottom, shape.left : shape.right]
