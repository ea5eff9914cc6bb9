"""Labels that the champion disagrees with far more than it errs are suspicious; right ones and usual errors are not."""

import numpy as np
import pytest

from tasks.retraining.judgement.label_check import TOLERATED, LabelCheck, check_labels, confusion_matrix

TESTS = 10_000
ERROR = 0.03


def read(truths: np.ndarray, error: float, seed: int, classes: int = 10) -> np.ndarray:
    """Probabilities of a champion that reads a share `error` of images with these true labels as another class."""
    random = np.random.default_rng(seed)
    others = (truths + random.integers(1, classes, len(truths))) % classes
    answers = np.where(random.random(len(truths)) < error, others, truths)
    return (0.1 / classes + 0.9 * np.eye(classes)[answers]).astype(np.float32)


def truths(count: int, classes: int = 10) -> np.ndarray:
    return (np.arange(count) % classes).astype(np.uint8)


def check(labels: np.ndarray, of: np.ndarray, *, error: float = ERROR, seed: int = 1, classes: int = 10) -> LabelCheck:
    """Check labels of images with the true labels `of`, for a champion that errs as often on its test images."""
    tests = truths(TESTS, classes)
    confusion = confusion_matrix(tests, read(tests, error, 0, classes).argmax(axis=1), classes)
    return check_labels(read(of, error, seed, classes), labels.astype(np.uint8), confusion, champion=3)


@pytest.mark.parametrize("count", [1, 20, 50, 200, 5000])
def test_good_labels_are_not_held_up(count: int) -> None:
    """Right labels pass, at each size and each error of the champion, in all but a few of a thousand draws."""
    of = truths(count)
    for error in (0.001, ERROR, 0.3):
        held = [check(of, of, error=error, seed=seed).is_suspicious for seed in range(1, 101)]
        assert sum(held) <= 1


def test_usual_errors_are_not_held_up() -> None:
    """A share of wrong labels as usual data have passes, however large the batch is."""
    for count in (200, 20_000):
        of = truths(count)
        labels = np.where(np.random.default_rng(7).random(count) < 0.9 * TOLERATED, (of + 1) % 10, of)
        assert not check(labels, of).is_suspicious


def swap(labels: np.ndarray) -> np.ndarray:
    """The labels with 3 for 5 and 5 for 3."""
    swapped = np.arange(256)
    swapped[[3, 5]] = 5, 3
    return swapped[labels]


MISTAKES = {
    "off by one": lambda of: (of + 1) % 10,
    "reversed": lambda of: 9 - of,
    "random": lambda of: np.random.default_rng(5).integers(0, 10, len(of)),
    "all one class": np.zeros_like,
    "one class as another": lambda of: np.where(of == 4, 9, of),
    "half off by one": lambda of: np.where(np.arange(len(of)) < len(of) // 2, (of + 1) % 10, of),
    "two classes swapped": swap,
}


@pytest.mark.parametrize("mistake", MISTAKES)
@pytest.mark.parametrize("count", [50, 1000])
def test_wrong_labels_are_held_up(mistake: str, count: int) -> None:
    """Each kind of systematic mistake is found, in a small batch and in a large one."""
    of = truths(count)
    found = check(MISTAKES[mistake](of), of)
    assert found.is_suspicious and found.disagreements > 0.08 * count


def test_a_swap_is_found_where_most_labels_are_right() -> None:
    """Two swapped classes of many are named, though they are too few to stand out among all images."""
    of = truths(1000, classes=100)
    found = check(swap(of), of, classes=100)
    assert not found.is_far
    assert [(pair.classes, pair.of) for pair in found.swapped] == [((3, 5), 20)]
    assert "of 20 images labelled three or 5" in found.describe(("zero", "one", "two", "three"))


def test_too_few_images_prove_nothing() -> None:
    """One disagreement with a batch of one image is not enough to doubt it; three with three are."""
    assert not check(np.array([5]), np.array([4])).is_suspicious
    assert check(np.array([5, 6, 7]), np.array([4, 5, 6])).is_far


def test_a_weak_champion_doubts_less() -> None:
    """The more the champion errs on its test images, the more disagreements it takes."""
    of = truths(200)
    labels = np.where(np.arange(200) < 60, (of + 1) % 10, of)
    assert check(labels, of, error=0.01).is_suspicious and not check(labels, of, error=0.6).is_suspicious


def test_untested_classes_are_not_judged_as_a_pair() -> None:
    """Nobody knows how often the champion confuses classes that no test image has, so they are no suspicious pair."""
    tests = truths(1000, classes=8)
    confusion = confusion_matrix(tests, tests, 10)
    of = np.array([8, 9] * 2 + [1] * 400, np.uint8)
    labels = np.array([9, 8] * 2 + [1] * 400, np.uint8)
    assert not check_labels(read(of, 0, 1), labels, confusion, champion=3).is_suspicious


def test_exact_probability() -> None:
    """The p-value is the binomial tail beyond the Clopper-Pearson bound and the tolerated share, as SciPy has it."""
    from scipy.stats import binomtest

    of = truths(50)
    labels = np.where(np.arange(50) < 9, (of + 1) % 10, of)
    found = check(labels, of, error=0)
    bound = binomtest(0, TESTS, alternative="less").proportion_ci(1 - 0.0025).high
    assert found.limit == pytest.approx(bound + TOLERATED)
    assert found.p_value == pytest.approx(binomtest(9, 50, found.limit, alternative="greater").pvalue)


def test_what_a_person_is_told() -> None:
    """The check counts what was read as which, the most frequent first, and names the surest examples."""
    of = truths(100)
    found = check((of + 1) % 10, of, error=0)
    assert (found.images, found.disagreements, found.test_images) == (100, 100, TESTS)
    assert {(c.images, c.of, (c.label - c.read_as) % 10) for c in found.confusions} == {(10, 10, 1)}
    assert all((e.label - e.read_as) % 10 == 1 and of[e.number] == e.read_as for e in found.examples)
    assert found.describe().startswith(
        "the champion, version 3, reads 100 of 100 images (100.0%) otherwise than they are labelled, and 0.0% of its "
        "test images; "
    )
