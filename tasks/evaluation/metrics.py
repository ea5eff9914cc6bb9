"""Metrics of predicted probabilities: accuracy, loss, confusion, calibration."""

import math
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from pydantic import BaseModel

from artifacts.storage.arrays import Labels, Probabilities


class ClassMetrics(BaseModel, frozen=True):
    """Precision, recall and F1, each in [0, 1] (0 where undefined), of one class with `support` images."""

    label: int
    precision: float
    recall: float
    f1: float
    support: int


class Evaluation(BaseModel, frozen=True):
    """Top-1 accuracy in [0, 1] with its 95% Wilson interval, mean cross-entropy in nats, metrics by class.

    `confusion[i][j]` counts the images of class i that were predicted as class j.
    """

    count: int
    correct: int
    accuracy: float
    interval: tuple[float, float]
    loss: float
    per_class: tuple[ClassMetrics, ...]
    confusion: tuple[tuple[int, ...], ...]
    predictions: tuple[int, ...]
    """The labels predicted for the first five images."""


def wilson(correct: int, count: int, confidence: float = 0.95) -> tuple[float, float]:
    """The Wilson score interval of a proportion (Wilson 1927, JASA 22:209), which is valid near 0 and 1 too."""
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share, width = correct / count, z * z / count
    centre, half = share + width / 2, z * math.sqrt(share * (1 - share) / count + width / count / 4)
    low, high = (centre - half) / (1 + width), (centre + half) / (1 + width)
    return max(0.0, min(low, share)), min(1.0, max(high, share))  # rounding may put an end beyond the share


def cross_entropy(probabilities: Probabilities, labels: Labels) -> float:
    """Mean cross-entropy in nats, with probabilities clipped as in keras.losses."""
    of_truth = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return float(-np.log(np.clip(of_truth, 1e-7, 1)).mean())


def measure(probabilities: Probabilities, labels: Labels) -> Evaluation:
    """Score predicted probabilities (n, classes) against the true labels (n,)."""
    classes = probabilities.shape[1]
    predicted = probabilities.argmax(axis=1)
    correct, count = int((predicted == labels).sum()), len(labels)
    pairs = labels.astype(np.intp) * classes + predicted
    confusion = np.bincount(pairs, minlength=classes**2).reshape(classes, classes)
    return Evaluation(
        count=count,
        correct=correct,
        accuracy=correct / count,
        interval=wilson(correct, count),
        loss=cross_entropy(probabilities, labels),
        per_class=tuple(_class_metrics(confusion, label) for label in range(classes)),
        confusion=tuple(map(tuple, confusion.tolist())),
        predictions=tuple(predicted[:5].tolist()),
    )


def _class_metrics(confusion: np.ndarray, label: int) -> ClassMetrics:
    right, predicted, support = (
        int(n) for n in (confusion[label, label], confusion[:, label].sum(), confusion[label].sum())
    )
    return ClassMetrics(
        label=label,
        precision=right / predicted if predicted else 0.0,
        recall=right / support if support else 0.0,
        f1=2 * right / (predicted + support) if predicted + support else 0.0,
        support=support,
    )


class Bin(NamedTuple):
    """Images with similar confidence: their number, and their mean confidence and accuracy in [0, 1]."""

    images: int
    confidence: float
    accuracy: float


def reliability_bins(probabilities: Probabilities, labels: Labels, bins: int = 15) -> list[Bin]:
    """Confidence and accuracy in bins of confidence of equal width, without the empty bins."""
    confidence = probabilities.max(axis=1).astype(np.float64)
    right = (probabilities.argmax(axis=1) == labels).astype(np.float64)
    numbers = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    sums = [np.bincount(numbers, weights, bins) for weights in (None, confidence, right)]
    return [Bin(int(n), float(c / n), float(r / n)) for n, c, r in zip(*sums, strict=True) if n]


def calibration_error(probabilities: Probabilities, labels: Labels) -> float:
    """Expected calibration error in [0, 1]: the mean gap between confidence and accuracy over 15 bins of confidence.

    Guo et al. 2017, arXiv:1706.04599, equation 5, with their 15 bins.
    """
    bins = reliability_bins(probabilities, labels)
    return sum(bin.images * abs(bin.confidence - bin.accuracy) for bin in bins) / len(labels)
