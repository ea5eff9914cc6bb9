"""How is one split read: from a pair of arrays, from a table of pixels, or from pictures?"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from artifacts.errors import BadSource
from artifacts.lineage.progress import report_progress
from tasks.data import idx
from tasks.data.images import Grey, GreyImage, decode
from tasks.data.reader.arrays import PlainArray, StoredArray, unpack
from tasks.data.reader.convert import ImageArray, as_images, as_label_values
from tasks.data.reader.files import printable
from tasks.data.reader.tables import SPLIT_COLUMNS, Table, unpack_pixels

LISTED = 3
"""Number of files that a flaw names; it counts all of them."""
MAX_SIDE, USUAL_SIDE = 256, 64
"""Longest side, in pixels, of pictures that are learned from as they are; and of those that must be scaled."""


class Flaw(NamedTuple):
    """Something that keeps a data set from being read as it is: the rule, a message with a remedy, and how often."""

    check: str
    message: str
    number: int = 1


@dataclass
class Reading:
    """Where to unpack, how much at most, and what is found out on the way: flaws, and notes on what was changed."""

    scratch: Path
    max_bytes: int
    flaws: list[Flaw] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def note_changes(self, what: str, changes: tuple[str, ...]) -> None:
        """Note what was made of the images of a file."""
        self.notes += [f"{what}: {change}" for change in changes]


class Fitting(NamedTuple):
    """How pictures become images of a data set that is there already. Arrays of another `shape` (height, width) do too,
    unless it is None.
    """

    shape: tuple[int, int] | None
    fit: Callable[[GreyImage], GreyImage]


class Loaded(NamedTuple):
    """Images that can be read in chunks, and for each its label as a whole number or a name."""

    images: ImageArray
    labels: np.ndarray
    is_fitted: bool = False
    """Whether the images were changed to fit a data set."""
    files: tuple[str, ...] = ()
    """The file of each image, if each has one."""


class ArrayPair(NamedTuple):
    """Images and labels in two arrays."""

    images: StoredArray
    labels: StoredArray

    @property
    def contents(self) -> list[tuple[str, Path]]:
        """The files that are read, each with what decides how it is read besides its content."""
        return [(f"images {self.images.member}", self.images.path), (f"labels {self.labels.member}", self.labels.path)]

    def load(self, reading: Reading, fitting: Fitting | None = None) -> Loaded:
        """Read the labels, and open the images, which are fitted if they have another size. Raises BadSource."""
        for array, dimensions in ((self.images, 3), (self.labels, 1)):
            if array.kind.startswith("idx"):
                idx.check_header(array.path.name, array.dtype, array.shape, dimensions)
        labels = as_label_values(_unpacked(self.labels, reading).whole(), self.labels.name)
        plain = _unpacked(self.images, reading)
        try:
            images = as_images(plain, count=len(labels))
        except BadSource as error:
            raise BadSource(f"{self.images.name} {error}") from None
        reading.note_changes(self.images.name, images.changes)
        return _fitted(Loaded(images, labels), reading, fitting)


def _unpacked(array: StoredArray, reading: Reading) -> PlainArray:
    plain = reading.scratch / f"{len(list(reading.scratch.iterdir()))}-{array.path.name}"
    return unpack(array, plain, reading.max_bytes)


class PixelTable(NamedTuple):
    """An image a row, with its label."""

    table: Table

    @property
    def contents(self) -> list[tuple[str, Path]]:
        """The files that are read, each with what decides how it is read besides its content."""
        return [("table", self.table.path)]

    def load(self, reading: Reading, fitting: Fitting | None = None) -> Loaded:
        """Read the table. Its images are fitted if they have another size. Raises BadSource."""
        plain, labels = unpack_pixels(self.table, reading.scratch / f"{self.table.path.name}.values", reading.max_bytes)
        if labels is None:
            raise BadSource(f"{self.table.path.name} has no column label; its first row is {self.table.header}")
        try:
            images = as_images(plain, count=len(labels))
        except BadSource as error:
            raise BadSource(f"{self.table.path.name} {error}") from None
        end = "last" if self.table.ends_with_label else "first"
        assumed = (f"no column is called label; the {end} one is read as such",) * self.table.is_label_assumed
        split = self.table.named(SPLIT_COLUMNS)
        unread = (
            () if split is None else (f"the column {self.table.columns[split]} is not read: all rows are one split",)
        )
        reading.note_changes(self.table.path.name, (*assumed, *unread, *images.changes))
        return _fitted(Loaded(images, labels), reading, fitting)


class Pictures(NamedTuple):
    """Picture files below a folder, each with the label that a folder or a table gives it."""

    root: Path
    files: tuple[Path, ...]
    labels: np.ndarray

    @property
    def contents(self) -> list[tuple[str, Path]]:
        """The files that are read, each with what decides how it is read besides its content."""
        return [
            (f"{path.relative_to(self.root)} {label}", path)
            for path, label in zip(self.files, self.labels.tolist(), strict=True)
        ]

    def load(self, reading: Reading, fitting: Fitting | None = None) -> Loaded:
        """Decode the pictures, and fit them. Without a `fitting`, those of several sizes are a flaw, and scaled to one.

        A picture that cannot be read is a flaw too, and left out. Raises BadSource if none can.
        """
        loaded, sizes, examples = self._stacked(reading, fitting)
        if loaded is None and sizes:
            chosen = common_size(sizes)
            reading.flaws[:] = [flaw for flaw in reading.flaws if flaw.check != "unreadable"]
            reading.flaws.append(Flaw("several-sizes", _sizes_in_words(sizes, examples, chosen), len(sizes)))
            scaling = Fitting(chosen, lambda picture: GreyImage(scale(picture.pixels, chosen), picture.changes))
            loaded, *_ = self._stacked(reading, scaling)
        if loaded is None:
            raise BadSource(reading.flaws.pop().message)
        return loaded._replace(is_fitted=fitting is not None)

    def _stacked(
        self, reading: Reading, fitting: Fitting | None
    ) -> tuple[Loaded | None, Counter[tuple[int, int]], dict[tuple[int, int], str]]:
        """The pictures as one array, or None if their sizes, which are counted, forbid it; and a file of each size."""
        unreadable, files, examples = list[str](), list[str](), dict[tuple[int, int], str]()
        changes: Counter[str] = Counter()

        def decoded() -> Iterator[tuple[Grey, object]]:
            for path, label in zip(self.files, self.labels.tolist(), strict=True):
                try:
                    picture = decode(path)
                    picture = fitting.fit(picture) if fitting else picture
                except BadSource as error:
                    unreadable.append(f"{path.relative_to(self.root)} {error}")
                    continue
                files.append(printable(path.relative_to(self.root)))
                examples.setdefault(picture.pixels.shape, files[-1])
                changes.update(picture.changes if fitting is None else ())
                yield picture.pixels, label

        loaded, sizes = _stack(decoded(), reading, len(self.files), MAX_SIDE if fitting is None else None)
        reading.flaws += _unreadable(unreadable, "file")
        if loaded:
            reading.notes += [f"{count:,} pictures: {change}" for change, count in changes.items()]
            loaded = loaded._replace(files=tuple(files))
        return loaded, sizes, examples


def _stack(
    pictures: Iterable[tuple[Grey, object]], reading: Reading, total: int, max_side: int | None = None
) -> tuple[Loaded | None, Counter[tuple[int, int]]]:
    """Write pictures with their labels one after another as an array; and count their sizes.

    None if there are none, if they have several sizes, or if they are larger than `max_side`.
    """
    target = reading.scratch / f"stack-{len(list(reading.scratch.iterdir()))}"
    labels, written, sizes = [], 0, Counter[tuple[int, int]]()
    with target.open("wb") as file:
        for number, (pixels, label) in enumerate(pictures, 1):
            sizes[pixels.shape] += 1
            if len(sizes) == 1 and not (max_side and max(pixels.shape) > max_side):
                labels.append(label)
                written += file.write(np.ascontiguousarray(pixels).data)
            if written > reading.max_bytes:
                raise BadSource(f"the pictures unpack to more than {reading.max_bytes:,} bytes")
            if number % 500 == 0:
                report_progress("read", done=number, total=total)
    if len(labels) < sizes.total() or not labels:
        return None, sizes
    shape = (len(labels), *next(iter(sizes)))
    images = as_images(PlainArray(target, 0, np.dtype(np.uint8), shape), count=len(labels))
    return Loaded(images, np.array(labels)), sizes


def _fitted(loaded: Loaded, reading: Reading, fitting: Fitting | None) -> Loaded:
    """The images of an array, fitted one by one if they have another size."""
    if fitting is None or fitting.shape in (None, loaded.images.shape[1:]):
        return loaded
    unreadable: list[str] = []

    def fitted() -> Iterator[tuple[Grey, object]]:
        images = (image for chunk in loaded.images.chunks() for image in chunk)
        for number, (image, label) in enumerate(zip(images, loaded.labels.tolist(), strict=True)):
            try:
                yield fitting.fit(GreyImage(image, ())).pixels, label
            except BadSource as error:
                unreadable.append(f"image {number} {error}")

    stacked, _ = _stack(fitted(), reading, len(loaded.labels))
    reading.flaws += _unreadable(unreadable, "image")
    if stacked is None:
        raise BadSource(reading.flaws.pop().message)
    return stacked._replace(is_fitted=True)


def _unreadable(reasons: list[str], what: str) -> list[Flaw]:
    """The flaw of files or images that cannot be read, if there are some."""
    count = len(reasons)
    some = "; ".join(reasons[:LISTED]) + f" and {count - LISTED} more" * (count > LISTED)
    message = f"{count} {what}{'s' * (count > 1)} cannot be read: {some}; remove {'them' if count > 1 else 'it'}"
    return [Flaw("unreadable", message, count)] if reasons else []


def scale(pixels: Grey, size: tuple[int, int]) -> Grey:
    """Scale a picture into `size` (height, width) with its proportions kept, on the grey of its own frame."""
    from PIL import Image, ImageOps

    if pixels.shape == size:
        return pixels
    frame = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    ground = int(np.median(frame))
    return np.asarray(ImageOps.pad(Image.fromarray(pixels), size[::-1], Image.Resampling.BOX, color=ground))


def common_size(sizes: Counter[tuple[int, int]]) -> tuple[int, int]:
    """The size of more than half of the pictures if it is not too large; else a square of their usual longer side."""
    size, count = sizes.most_common(1)[0]
    if 2 * count > sizes.total() and max(size) <= MAX_SIDE:
        return size
    side = min(USUAL_SIDE, int(np.median([max(size) for size in sizes.elements()])))
    return side, side


def _sizes_in_words(
    sizes: Counter[tuple[int, int]], examples: dict[tuple[int, int], str], chosen: tuple[int, int]
) -> str:
    common = ", ".join(
        f"{width}×{height} ({count:,}{f', such as {examples[height, width]}' * bool(place)})"
        for place, ((height, width), count) in enumerate(sizes.most_common(3))
    )
    if len(sizes) == 1:
        return f"the pictures have {common} pixels, more than the {MAX_SIDE} a side that are learned from; scale them"
    return (
        f"the pictures have {len(sizes):,} sizes: {common}{', …' * (len(sizes) > 3)}; a network takes one: scale them, "
        f"for instance to {chosen[1]}×{chosen[0]}"
    )
