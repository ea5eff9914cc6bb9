"""The contracts of image data pass clean data, and report each fault with exactly its images."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.data.schema import check_data
from tests.conftest import Arrays
from tests.tasks.data.conftest import CLASSES, COUNT, clean_arrays, listed_images, report_on, rules


@pytest.mark.parametrize("classes", [CLASSES, None])
def test_clean_data_pass(classes: int | None) -> None:
    """Clean data have no problem, with a given or an inferred number of classes."""
    report = report_on(clean_arrays(), classes)
    assert not report.errors and not report.warnings


@given(st.permutations(range(1, COUNT)), st.lists(st.integers(0, 6), min_size=6, max_size=6))
@settings(max_examples=25, deadline=None)
def test_planted_faults_are_all_listed(order: list[int], sizes: list[int]) -> None:
    """Whatever faults are planted together, the report lists exactly their images, each under its own rule."""
    data, ends = clean_arrays(), np.cumsum(sizes)
    parts = [sorted(part) for part in np.split(np.array(order), ends)[:-1]]
    blank, constant, duplicate, inverted, leak, label = parts
    images = data["train_images"]
    images[blank] = 0
    images[constant] = 77
    images[duplicate], data["train_labels"][duplicate] = images[0], data["train_labels"][0]
    images[inverted] = 255 - images[inverted]
    images[leak] = data["test_images"][leak]
    data["train_labels"][label] = CLASSES
    planted = ("blank", "constant", "duplicate", "inverted", "leak", "label-range")
    expected = {rule: tuple(part) for rule, part in zip(planted, parts, strict=True) if part}
    assert listed_images(report_on(data)) == expected


def test_severity() -> None:
    """Leaks and wrong labels are errors; copies, also with two labels, a negative and few blank images are warnings."""
    data = clean_arrays()
    images = data["train_images"]
    images[3], images[4], images[5] = 0, 255 - images[4], images[2]
    images[6], data["train_labels"][7] = data["test_images"][8], CLASSES
    report = report_on(data)
    assert rules(report.errors) == [("train", "label-range"), ("both", "leak")]
    warnings = [("train", "blank"), ("train", "inverted"), ("train", "duplicate")]
    assert rules(report.warnings) == warnings
    data["train_labels"][5] = 0
    report = report_on(data)
    assert rules(report.warnings) == [*warnings, ("train", "contradiction")]
    assert listed_images(report)["contradiction"] == (2, 5)


def test_classes_are_called_by_their_names() -> None:
    """A problem of classes names those that have names."""
    data = clean_arrays()
    for split in ("train", "test"):
        data[f"{split}_labels"][:] = np.where(data[f"{split}_labels"] == 1, 3, data[f"{split}_labels"])
    (problem,) = check_data(**data, classes=None, class_names=("cat", "dog")).warnings
    assert problem.message.endswith("add some (classes dog)")


def test_brightness_alone_is_no_fault() -> None:
    """Images whose mean is above 127 pass as long as their frame is dark."""
    data = clean_arrays(ink=200)
    assert data["train_images"].mean() > 127
    assert not report_on(data).errors and not report_on(data).warnings


def test_polarity() -> None:
    """Two dark-on-light splits pass; one of them beside a light-on-dark split is one error and no warning."""
    data = clean_arrays()
    data["test_images"] = 255 - data["test_images"]
    report = report_on(data)
    assert rules(report.errors) == [("both", "polarity")] and not report.warnings
    data["train_images"] = 255 - data["train_images"]
    assert not report_on(data).errors and not report_on(data).warnings


@pytest.mark.parametrize(
    ("name", "change", "problems"),
    [
        ("train_images", lambda a: a.astype(np.float32), [("train", "dtype")]),
        ("train_images", lambda a: a[..., np.newaxis], [("train", "dims")]),
        ("train_images", lambda a: a[:, 0, 0], [("train", "dims")]),
        ("train_images", lambda a: a[:0], [("train", "empty"), ("train", "sizes")]),
        ("train_labels", lambda a: a[:-1], [("train", "sizes")]),
        ("train_labels", lambda a: a.astype(np.int64), [("train", "dtype")]),
        ("train_labels", lambda a: a[:, np.newaxis], [("train", "dims")]),
        ("train_labels", lambda a: a * 0, [("train", "classes"), ("test", "unseen-label")]),
        ("test_images", lambda a: a[:, 1:], [("test", "sizes")]),
        ("test_labels", lambda a: a + np.uint8(1), [("test", "label-range")]),
    ],
)
def test_unsound_arrays(name: str, change: object, problems: list[tuple[str, str]]) -> None:
    """A wrong dtype, dimension, size or number of labels is an error of the split that has it."""
    data = clean_arrays()
    data[name] = change(data[name])  # type: ignore[operator]
    assert set(problems) == set(rules(report_on(data).errors))


def test_small_images() -> None:
    """Images below 4 pixels a side are refused, in both splits."""
    data = clean_arrays()
    for name in ("train_images", "test_images"):
        data[name] = data[name][:, 3:6]
    assert rules(report_on(data).errors) == [("train", "small"), ("test", "small")]


def test_errors_of_all_contracts_at_once() -> None:
    """Unsound arrays of one split do not hide what is wrong with the other split's images and labels."""
    data = clean_arrays()
    data["train_images"] = data["train_images"].astype(np.float64)
    data["test_images"] = data["test_images"][1:, 1:]
    data["test_images"][5] = data["test_images"][9] = 0
    data["test_labels"][4] = CLASSES
    report = report_on(data)
    expected = [("train", "dtype"), ("test", "sizes"), ("test", "sizes"), ("test", "label-range"), ("test", "blank")]
    assert rules(report.errors) == expected
    assert report.errors[-2].images == (4,) and report.errors[-1].images == (5, 9)
    assert report.train is None and report.test is not None


def test_unseen_test_labels() -> None:
    """Without a given number of classes, test labels that training never shows are an error."""
    data = clean_arrays()
    data["test_labels"][[7, 11]] = 200
    assert rules(report_on(data, None).errors) == [("test", "unseen-label")]
    assert listed_images(report_on(data, None)) == {"unseen-label": (7, 11)}


def test_class_balance() -> None:
    """A class without training images and one with few are warnings that name the classes."""
    data = clean_arrays()
    data["train_labels"] = np.repeat(np.array([0, 1, 3], np.uint8), [30, 28, 2])
    data["test_labels"] %= 2
    report = report_on(data, None)
    assert not report.errors
    assert rules(report.warnings) == [("train", "missing-class"), ("train", "imbalance")]
    assert [problem.message[-11:] for problem in report.warnings] == ["(classes 2)", "(classes 3)"]
    assert [(problem.count, problem.images) for problem in report.warnings] == [(1, ()), (1, ())]


@pytest.mark.full_mnist
def test_mnist(mnist_arrays: Arrays) -> None:
    """The report on MNIST has no error and no warning."""
    names = ("train_images", "train_labels", "test_images", "test_labels")
    report = check_data(**dict(zip(names, mnist_arrays, strict=True)), classes=10)
    assert not report.errors and not report.warnings
    assert report.train is not None and report.test is not None
    assert (report.train.images, report.test.images) == (60000, 10000)
    assert report.train.mean_ink == pytest.approx(0.1307, abs=1e-4)
