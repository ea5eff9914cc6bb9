"""Are the labels of a batch right? Where the champion disagrees with far more of them than it errs, they may not be."""

from typing import NamedTuple

import numpy as np
from pydantic import BaseModel

from artifacts.storage.arrays import Labels, Probabilities

LEVEL = 0.01
"""The greatest chance that a batch is held up whose images are as easy as the test images, and whose labels are wrong
in no more than TOLERATED of them. Half of it is for all images, half for all pairs of classes (Bonferroni)."""
TOLERATED = 0.03
"""Share of wrong labels that usual data have: Northcutt et al. 2021, arXiv:2103.14749, found 3.3% in ten data sets."""
SHOWN, EXAMPLES = 10, 24
"""Confusions, and images, that a check has."""
MENTIONED = 3
"""Pairs, and confusions of more than one image, that the line for people has."""


class Confusion(BaseModel, frozen=True):
    """Images with a label that the champion read as another class, of all the batch's images with that label."""

    label: int
    read_as: int
    images: int
    of: int


class SwappedPair(BaseModel, frozen=True):
    """Two classes of which the champion read too many images as the other: `images` of all `of` with either label."""

    classes: tuple[int, int]
    images: int
    of: int
    limit: float
    p_value: float


class Example(BaseModel, frozen=True):
    """An image that the champion read as another class than its label, with this probability.

    `number` counts the batch's images from 0, without those that are left out.
    """

    number: int
    label: int
    read_as: int
    probability: float


class LabelCheck(BaseModel, frozen=True):
    """How far the champion, version `champion`, disagrees with the labels of a batch, and of its test images.

    `limit` is the share of disagreements that its errors and TOLERATED explain; `p_value`, the chance of so many if
    that share is the true one. Confusions are sorted by their number, examples by the champion's certainty.
    """

    champion: int
    images: int
    disagreements: int
    test_images: int
    test_errors: int
    limit: float
    p_value: float
    is_far: bool
    swapped: tuple[SwappedPair, ...]
    confusions: tuple[Confusion, ...]
    examples: tuple[Example, ...]

    @property
    def is_suspicious(self) -> bool:
        return self.is_far or bool(self.swapped)

    def describe(self, class_names: tuple[str, ...] = ()) -> str:
        """What was found, in one line."""

        def called(label: int) -> str:
            return class_names[label] if label < len(class_names) else str(label)

        pairs = "".join(
            f"; of {pair.of:,} images labelled {' or '.join(map(called, pair.classes))}, {pair.images:,} are read as "
            "the other"
            for pair in self.swapped[:MENTIONED]
        )
        most = ", ".join(
            f"{found.images:,} of {found.of:,} labelled {called(found.label)} as {called(found.read_as)}"
            for found in self.confusions[:MENTIONED]
            if found.images > 1
        )
        return (
            f"the champion, version {self.champion}, reads {self.disagreements:,} of {self.images:,} images "
            f"({self.disagreements / self.images:.1%}) otherwise than they are labelled, and "
            f"{self.test_errors / self.test_images:.1%} of its test images{pairs}"
            + (f"; most often {most}" * bool(most))
        )


class _Excess(NamedTuple):
    limit: np.ndarray
    p_value: np.ndarray
    is_far: np.ndarray


def check_labels(probabilities: Probabilities, labels: Labels, test_confusion: np.ndarray, champion: int) -> LabelCheck:
    """Hold the champion's probabilities (n, classes) for a batch against its labels (n,), n > 0.

    `test_confusion[i, j]` counts the test images (at least one) of class i that the champion reads as class j.
    """
    classes = probabilities.shape[1]
    read = probabilities.argmax(axis=1)
    confusion = confusion_matrix(labels, read, classes)
    wrong, test_wrong = int((read != labels).sum()), int(test_confusion.sum() - np.trace(test_confusion))
    overall = _excess(wrong, len(labels), test_wrong, int(test_confusion.sum()), LEVEL / 2)
    return LabelCheck(
        champion=champion,
        images=len(labels),
        disagreements=wrong,
        test_images=int(test_confusion.sum()),
        test_errors=test_wrong,
        limit=float(overall.limit),
        p_value=float(overall.p_value),
        is_far=bool(overall.is_far),
        swapped=_swapped_pairs(confusion, test_confusion),
        confusions=_confusions(confusion),
        examples=_examples(probabilities, labels, read),
    )


def confusion_matrix(labels: Labels, read: np.ndarray, classes: int) -> np.ndarray:
    """The number of images (classes, classes) with each label, by row, that are read as each class."""
    return np.bincount(labels.astype(np.intp) * classes + read, minlength=classes**2).reshape(classes, classes)


def _excess(
    seen: np.ndarray | int, of: np.ndarray | int, errors: np.ndarray | int, tests: np.ndarray | int, level: float
) -> _Excess:
    """Whether `seen` of `of` are more than a share of errors, known from `errors` of `tests`, and TOLERATED explain.

    An exact binomial test at half the level against the upper confidence bound of Clopper & Pearson 1934 (Biometrika
    26:404), which the true share exceeds with the other half: Berger & Boos 1994, JASA 89:1012.
    """
    from scipy.special import bdtrc, betainccinv

    errors, tests = np.asarray(errors), np.asarray(tests)
    bound = np.where(errors < tests, betainccinv(errors + 1, np.maximum(tests - errors, 1), level / 2), 1.0)
    limit = np.minimum(bound + TOLERATED, 1.0)
    p_value = bdtrc(np.asarray(seen) - 1, of, limit)
    return _Excess(limit, p_value, p_value <= level / 2)


def _swapped_pairs(confusion: np.ndarray, test_confusion: np.ndarray) -> tuple[SwappedPair, ...]:
    """The pairs of classes that are read as each other too often, the least probable first."""
    one, other = np.triu_indices(len(confusion), 1)

    def count(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        totals = matrix.sum(axis=1)
        return matrix[one, other] + matrix[other, one], totals[one] + totals[other]

    (seen, of), (errors, tests) = count(confusion), count(test_confusion)
    limit, p_value, is_far = _excess(seen, of, errors, tests, LEVEL / 2 / max(len(one), 1))
    return tuple(
        SwappedPair(
            classes=(int(one[i]), int(other[i])),
            images=int(seen[i]),
            of=int(of[i]),
            limit=float(limit[i]),
            p_value=float(p_value[i]),
        )
        for i in np.argsort(p_value, kind="stable")
        if is_far[i]
    )


def _confusions(confusion: np.ndarray) -> tuple[Confusion, ...]:
    off_diagonal = confusion * ~np.eye(len(confusion), dtype=bool)
    order = np.argsort(-off_diagonal, axis=None, kind="stable")[:SHOWN]
    places = [divmod(int(place), len(confusion)) for place in order]
    return tuple(
        Confusion(label=i, read_as=j, images=int(confusion[i, j]), of=int(confusion[i].sum()))
        for i, j in places
        if off_diagonal[i, j]
    )


def _examples(probabilities: Probabilities, labels: Labels, read: np.ndarray) -> tuple[Example, ...]:
    wrong = np.flatnonzero(read != labels)
    certainty = probabilities[wrong, read[wrong]]
    return tuple(
        Example(
            number=int(wrong[i]),
            label=int(labels[wrong[i]]),
            read_as=int(read[wrong[i]]),
            probability=round(float(certainty[i]), 4),
        )
        for i in np.argsort(-certainty, kind="stable")[:EXAMPLES]
    )
