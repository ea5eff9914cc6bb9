"""How far are new images from those that a model learned from? Counts of images are compared; no model is used."""

from collections.abc import Mapping
from functools import cache

import numpy as np
from pydantic import BaseModel

from artifacts.storage.arrays import Labels, Measurements, RawImages, chunks

BINS = 10
THRESHOLD = 0.25
"""Population stability index above which a population has shifted: Siddiqi 2006, "Credit Risk Scorecards"."""
CHANCE = 0.001
"""How often images without drift may exceed the threshold of a statistic."""
STATISTICS = ("mean", "deviation", "coverage", "slant", "elongation")
LABEL, PREDICTED = "label", "predicted class"
"""The statistic of labels, and that of the classes which a model read: these are compared with the labels."""

Counts = dict[str, tuple[int, ...]]
"""For each statistic, how many images fall into each of its bins."""
LabelledImages = tuple[np.ndarray, np.ndarray]
"""Images (n, height, width) and labels (n,), both uint8."""


class Drift(BaseModel, frozen=True):
    """The population stability index of one statistic of images, and the threshold above which it is drift."""

    statistic: str
    index: float
    threshold: float

    @property
    def is_drift(self) -> bool:
        return self.index > self.threshold


class Reference(BaseModel, frozen=True):
    """The images that others are compared with, as counts.

    `edges`: for each statistic, where its bins meet: about a tenth of the images is between two of them. A value on an
    edge counts above it. The bins of `LABEL` are the labels, from 0 on.
    """

    edges: dict[str, tuple[float, ...]]
    counts: Counts

    @classmethod
    def of(cls, images: RawImages, labels: Labels) -> "Reference":
        """The reference that these images and their labels are. Images are read in parts."""
        measured = np.concatenate([measure(part) for part in chunks(images)])
        edges = {name: _quantiles(measured[:, i]) for i, name in enumerate(STATISTICS)}
        return cls(edges=edges, counts=_count(measured, labels, edges, LABEL))

    def count(self, measured: Measurements, classes: Labels, called: str = LABEL) -> Counts:
        """Count other images in the bins of the reference. `classes` are their labels, or as they are `called`."""
        return _count(measured, classes, self.edges, called)

    def compare(self, counts: Mapping[str, tuple[int, ...]], chance: float = CHANCE) -> tuple[Drift, ...]:
        """The drift of each statistic of other images, counted in the bins of the reference.

        For few images the thresholds rise until those without drift exceed one of them with the probability `chance`.
        """
        return tuple(
            _drift(name, self.counts[LABEL if name == PREDICTED else name], found, chance)
            for name, found in counts.items()
        )


def measure(images: RawImages) -> Measurements:
    """STATISTICS of each image: mean and standard deviation of the pixels, the share of pixels with ink, and the slant
    and elongation of the ink from its second central moments (Hu 1962, IRE Transactions on Information Theory 8:179).
    """
    ink = images.astype(np.float32)
    rows, columns = (np.arange(side, dtype=np.float32) for side in images.shape[1:])
    mass = np.maximum(ink.sum(axis=(1, 2)), 1)
    down, across = ink.sum(axis=2), ink.sum(axis=1)
    y, x = down @ rows / mass, across @ columns / mass
    yy, xx = down @ rows**2 / mass - y**2, across @ columns**2 / mass - x**2
    xy = np.einsum("nij,i,j->n", ink, rows, columns) / mass - x * y
    measured = (
        ink.mean(axis=(1, 2)),
        ink.std(axis=(1, 2)),
        (images > 0).mean(axis=(1, 2)),
        np.arctan2(2 * xy, xx - yy),
        np.hypot(xx - yy, 2 * xy) / np.maximum(xx + yy, 1e-6),
    )
    return np.stack(measured, axis=1).astype(np.float32)


def measure_drift(base: LabelledImages, batch: LabelledImages) -> tuple[Drift, ...]:
    """Compare the pixel statistics, shapes and labels of a batch with those of the base data."""
    reference, (images, labels) = Reference.of(*base), batch
    measured = np.concatenate([measure(part) for part in chunks(images)])
    return reference.compare(reference.count(measured, labels))


def add_counts(one: Mapping[str, tuple[int, ...]], other: Mapping[str, tuple[int, ...]]) -> Counts:
    """The counts of images that were counted in two parts, in the bins of the same reference."""
    pairs = {name: _alike(one.get(name, ()), counts) for name, counts in other.items()}
    return {name: tuple(int(count) for count in first + second) for name, (first, second) in pairs.items()}


def stability_index(base: np.ndarray, batch: np.ndarray) -> float:
    """Sum of (q - p) ln(q / p) over bins with shares p and q: Siddiqi 2006. Half an item is added to each bin."""
    p, q = ((counts + 0.5) / (counts.sum() + len(counts) / 2) for counts in (base, batch))
    return float(((q - p) * np.log(q / p)).sum())


def _drift(name: str, base: tuple[int, ...], batch: tuple[int, ...], chance: float) -> Drift:
    """Without drift the index is distributed as (1/n + 1/m) chi²(bins - 1): Yurdakul & Naranjo 2020, Journal of Risk
    Model Validation 14(4).
    """
    before, after = _alike(base, batch)
    expected = _exceeded(chance, max(len(before) - 1, 1)) * (1 / before.sum() + 1 / after.sum())
    return Drift(statistic=name, index=stability_index(before, after), threshold=max(THRESHOLD, expected))


@cache
def _exceeded(chance: float, freedom: int) -> float:
    """The value that chi² with so many degrees of freedom exceeds with the probability `chance`."""
    from scipy.special import chdtri  # in scipy.stats it has a name that says more, but takes half a second to import

    return float(chdtri(freedom, chance))


def _alike(one: tuple[int, ...], other: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Counts of two populations, of one length: either may lack the last labels."""
    bins = max(len(one), len(other))
    first, second = (np.array(counts + (0,) * (bins - len(counts))) for counts in (one, other))
    return first, second


def _count(measured: Measurements, classes: Labels, edges: Mapping[str, tuple[float, ...]], called: str) -> Counts:
    found = {name: np.searchsorted(edges[name], measured[:, i], "right") for i, name in enumerate(STATISTICS)}
    bins = {name: np.bincount(places, minlength=len(edges[name]) + 1) for name, places in found.items()}
    return {name: tuple(counts.tolist()) for name, counts in (bins | {called: np.bincount(classes)}).items()}


def _quantiles(values: np.ndarray) -> tuple[float, ...]:
    return tuple(np.unique(np.quantile(values, np.linspace(0, 1, BINS + 1)[1:-1])).tolist())
