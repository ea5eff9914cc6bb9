"""How far are new images from those that a model learned from? Pixels and labels are compared; no model is used."""

import numpy as np
from pydantic import BaseModel

from artifacts.storage.arrays import RawImages, chunks

BINS = 10
THRESHOLD = 0.25
"""Population stability index above which a population has shifted: Siddiqi 2006, "Credit Risk Scorecards"."""


class Drift(BaseModel, frozen=True):
    """The population stability index of one statistic of a batch, and the threshold above which it is drift."""

    statistic: str
    index: float
    threshold: float

    @property
    def is_drift(self) -> bool:
        return self.index > self.threshold


LabelledImages = tuple[np.ndarray, np.ndarray]
"""Images (n, height, width) and labels (n,), both uint8."""


def measure_drift(base: LabelledImages, batch: LabelledImages) -> tuple[Drift, ...]:
    """Compare the pixel statistics, shapes and labels of a batch with those of the base data."""
    before, after = _statistics(base[0]), _statistics(batch[0])
    of_images = [_drift(name, before[name], after[name], _quantiles(before[name])) for name in before]
    classes = np.arange(int(max(base[1].max(), batch[1].max())) + 2) - 0.5
    return (*of_images, _drift("label", base[1], batch[1], classes))


def stability_index(base: np.ndarray, batch: np.ndarray, edges: np.ndarray) -> float:
    """Sum of (q - p) ln(q / p) over bins with shares p and q: Siddiqi 2006. Half an item is added to each bin."""
    p, q = ((np.histogram(values, edges)[0] + 0.5) / (len(values) + (len(edges) - 1) / 2) for values in (base, batch))
    return float(((q - p) * np.log(q / p)).sum())


def _drift(name: str, base: np.ndarray, batch: np.ndarray, edges: np.ndarray) -> Drift:
    """For a small batch the threshold rises until only one batch without drift in a thousand exceeds it, by statistic.

    Without drift the index is distributed as (1/n + 1/m) chi²(bins - 1): Yurdakul & Naranjo 2020, Journal of Risk Model
    Validation 14(4).
    """
    from scipy.stats import chi2

    chance = float(chi2.ppf(0.999, max(len(edges) - 2, 1))) * (1 / len(base) + 1 / len(batch))
    return Drift(statistic=name, index=stability_index(base, batch, edges), threshold=max(THRESHOLD, chance))


def _quantiles(values: np.ndarray) -> np.ndarray:
    inner = np.unique(np.quantile(values, np.linspace(0, 1, BINS + 1)[1:-1]))
    return np.concatenate([[-np.inf], inner, [np.inf]])


def _statistics(images: RawImages) -> dict[str, np.ndarray]:
    parts = [_statistics_of_chunk(part) for part in chunks(images)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _statistics_of_chunk(images: RawImages) -> dict[str, np.ndarray]:
    """For each image: mean and standard deviation of the pixels, the share of pixels with ink, and the slant and
    elongation of the ink from its second central moments (Hu 1962, IRE Transactions on Information Theory 8:179).
    """
    ink = images.astype(np.float32)
    rows, columns = (np.arange(side, dtype=np.float32) for side in images.shape[1:])
    mass = np.maximum(ink.sum(axis=(1, 2)), 1)
    down, across = ink.sum(axis=2), ink.sum(axis=1)
    y, x = down @ rows / mass, across @ columns / mass
    yy, xx = down @ rows**2 / mass - y**2, across @ columns**2 / mass - x**2
    xy = np.einsum("nij,i,j->n", ink, rows, columns) / mass - x * y
    return {
        "mean": ink.mean(axis=(1, 2)),
        "deviation": ink.std(axis=(1, 2)),
        "coverage": (images > 0).mean(axis=(1, 2)),
        "slant": np.arctan2(2 * xy, xx - yy),
        "elongation": np.hypot(xx - yy, 2 * xy) / np.maximum(xx + yy, 1e-6),
    }
