"""What is known of a trained network on images that it has not seen."""

import numpy as np
from pydantic import BaseModel

from artifacts.arrays import Labels, Probabilities


class ClassMetrics(BaseModel, frozen=True):
    """Precision, recall and F1, each in [0, 1] (0 where undefined), of one class with `support` images."""

    label: int
    precision: float
    recall: float
    f1: float
    support: int


class Evaluation(BaseModel, frozen=True):
    """Top-1 accuracy in [0, 1] with its 95 % Wilson interval, mean cross-entropy in nats, and where the errors lie.

    `confusion[i][j]` counts the images of class i that were taken for class j.
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
    """The Wilson score interval of a proportion (Wilson 1927, JASA 22:209), which holds near 0 and 1 too."""
    from scipy.stats import binomtest

    interval = binomtest(correct, count).proportion_ci(confidence, method="wilson")
    return float(interval.low), float(interval.high)


def cross_entropy(probabilities: Probabilities, labels: Labels) -> float:
    """Mean cross-entropy in nats, clipped as keras.losses does."""
    of_truth = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return float(-np.log(np.clip(of_truth, 1e-7, 1)).mean())


def measure(probabilities: Probabilities, labels: Labels) -> Evaluation:
    """Score predicted probabilities (n, classes) against the true labels (n,)."""
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    classes = np.arange(probabilities.shape[1])
    predicted = probabilities.argmax(axis=1)
    correct, count = int((predicted == labels).sum()), len(labels)
    scores = precision_recall_fscore_support(labels, predicted, labels=classes, zero_division=0)
    return Evaluation(
        count=count,
        correct=correct,
        accuracy=correct / count,
        interval=wilson(correct, count),
        loss=cross_entropy(probabilities, labels),
        per_class=tuple(
            ClassMetrics(label=int(c), precision=float(p), recall=float(r), f1=float(f), support=int(n))
            for c, p, r, f, n in zip(classes, *scores, strict=True)
        ),
        confusion=tuple(map(tuple, confusion_matrix(labels, predicted, labels=classes).tolist())),
        predictions=tuple(predicted[:5].tolist()),
    )
