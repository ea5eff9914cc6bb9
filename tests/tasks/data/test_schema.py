"""The contracts of image data: what passes, and that each fault is reported with exactly its images."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pandera.config import config_context

from tasks.data.quality import SHOWN, DataReport, Problem
from tasks.data.schema import check_data

COUNT, CLASSES = 60, 3
Arrays = dict[str, np.ndarray]


def clean(seed: int = 0, ink: int = 1) -> Arrays:
    """Both splits: light strokes, of pixels in [ink, 255], in a dark frame; balanced labels; all images different."""
    rng = np.random.default_rng(seed)
    data: Arrays = {}
    for split in ("train", "test"):
        data[f"{split}_images"] = np.zeros((COUNT, 12, 12), np.uint8)
        data[f"{split}_images"][:, 1:-1, 1:-1] = rng.integers(ink, 256, (COUNT, 10, 10))
        data[f"{split}_labels"] = (np.arange(COUNT) % CLASSES).astype(np.uint8)
    return data


def look(data: Arrays, classes: int | None = CLASSES) -> DataReport:
    return check_data(**data, classes=classes)


def names(problems: tuple[Problem, ...]) -> list[tuple[str, str]]:
    return [(problem.split, problem.check) for problem in problems]


def found(report: DataReport) -> dict[str, tuple[int, ...]]:
    return {problem.check: problem.images for problem in (*report.errors, *report.warnings)}


@pytest.mark.parametrize("classes", [CLASSES, None])
def test_clean_data_pass(classes: int | None) -> None:
    """Clean data have no problem, with a given or an inferred number of classes."""
    report = look(clean(), classes)
    assert not report.errors and not report.warnings


def test_facts_agree_with_numpy() -> None:
    """The facts are what numpy measures on the whole array, and they survive JSON."""
    data = clean()
    report = look(data)
    facts = report.train
    assert facts is not None
    assert (facts.images, facts.height, facts.width, facts.classes) == (COUNT, 12, 12, (20, 20, 20))
    images = data["train_images"]
    measured = (facts.mean_ink, facts.coverage, facts.contrast)
    assert measured == pytest.approx((images.mean() / 255, (images > 0).mean(), images.std(axis=(1, 2)).mean() / 255))
    assert DataReport.model_validate_json(report.model_dump_json()) == report


@given(st.permutations(range(1, COUNT)), st.lists(st.integers(0, 6), min_size=6, max_size=6))
@settings(max_examples=25, deadline=None)
def test_planted_faults_are_all_listed(order: list[int], sizes: list[int]) -> None:
    """Whatever faults are planted together, the report lists exactly their images, each under its own rule."""
    data, ends = clean(), np.cumsum(sizes)
    parts = [sorted(part) for part in np.split(np.array(order), ends)[:-1]]
    blank, constant, duplicate, inverted, leak, label = parts
    images = data["train_images"]
    images[blank] = 0
    images[constant] = 77
    images[duplicate] = images[0]
    images[inverted] = 255 - images[inverted]
    images[leak] = data["test_images"][leak]
    data["train_labels"][label] = CLASSES
    rules = ("blank", "constant", "duplicate", "inverted", "leak", "label-range")
    expected = {rule: tuple(part) for rule, part in zip(rules, parts, strict=True) if part}
    assert found(look(data)) == expected


def test_severity() -> None:
    """Leaks and wrong labels are errors; a copy, a negative and few blank images are only warnings."""
    data = clean()
    images = data["train_images"]
    images[3], images[4], images[5] = 0, images[2], 255 - images[5]
    images[6], data["train_labels"][7] = data["test_images"][8], CLASSES
    report = look(data)
    assert names(report.errors) == [("train", "label-range"), ("both", "leak")]
    assert names(report.warnings) == [("train", "blank"), ("train", "inverted"), ("train", "duplicate")]


@pytest.mark.parametrize("value", [0, 77])
def test_many_flat_images_are_an_error(value: int) -> None:
    """More than one blank or constant image, and more than 1 % of a split, is an error, but no copy and no leak."""
    data = clean()
    data["train_images"][:2] = data["test_images"][:1] = value
    report = look(data)
    rule = "blank" if value == 0 else "constant"
    assert names(report.errors) == [("train", rule)] and names(report.warnings) == [("test", rule)]


def test_brightness_alone_is_no_fault() -> None:
    """Images whose mean is above 127 pass as long as their frame is dark."""
    data = clean(ink=200)
    assert data["train_images"].mean() > 127
    assert not look(data).errors and not look(data).warnings


def test_polarity() -> None:
    """Two dark-on-light splits pass; one of them beside a light-on-dark split is one error and no warning."""
    data = clean()
    data["test_images"] = 255 - data["test_images"]
    report = look(data)
    assert names(report.errors) == [("both", "polarity")] and not report.warnings
    data["train_images"] = 255 - data["train_images"]
    assert not look(data).errors and not look(data).warnings


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
    data = clean()
    data[name] = change(data[name])  # type: ignore[operator]
    assert set(problems) == set(names(look(data).errors))


def test_small_images() -> None:
    """Images below 4 pixels a side are refused, in both splits."""
    data = clean()
    for name in ("train_images", "test_images"):
        data[name] = data[name][:, 3:6]
    assert names(look(data).errors) == [("train", "small"), ("test", "small")]


def test_errors_of_all_contracts_at_once() -> None:
    """Unsound arrays of one split do not hide what is wrong with the other split's images and labels."""
    data = clean()
    data["train_images"] = data["train_images"].astype(np.float64)
    data["test_images"] = data["test_images"][1:, 1:]
    data["test_images"][5] = data["test_images"][9] = 0
    data["test_labels"][4] = CLASSES
    report = look(data)
    expected = [("train", "dtype"), ("test", "sizes"), ("test", "sizes"), ("test", "label-range"), ("test", "blank")]
    assert names(report.errors) == expected
    assert report.errors[-2].images == (4,) and report.errors[-1].images == (5, 9)
    assert report.train is None and report.test is not None


def test_unseen_test_labels() -> None:
    """Without a given number of classes, test labels that training never shows are an error."""
    data = clean()
    data["test_labels"][[7, 11]] = 200
    assert names(look(data, None).errors) == [("test", "unseen-label")]
    assert found(look(data, None)) == {"unseen-label": (7, 11)}


def test_class_balance() -> None:
    """A class without training images and one with few are warnings that name the classes."""
    data = clean()
    data["train_labels"] = np.repeat(np.array([0, 1, 3], np.uint8), [30, 28, 2])
    data["test_labels"] %= 2
    report = look(data, None)
    assert not report.errors
    assert names(report.warnings) == [("train", "missing-class"), ("train", "imbalance")]
    assert [problem.message[-11:] for problem in report.warnings] == ["(classes 2)", "(classes 3)"]
    assert [(problem.count, problem.images) for problem in report.warnings] == [(1, ()), (1, ())]


def test_long_lists_are_cut() -> None:
    """A problem lists its first SHOWN images and counts all of them."""
    data = {name: np.concatenate([array] * 3) for name, array in clean().items()}
    duplicate = look(data).warnings[0]
    assert (duplicate.check, duplicate.count) == ("duplicate", 2 * COUNT)
    assert duplicate.images == tuple(range(COUNT, COUNT + SHOWN))
    assert duplicate.message.endswith("(images 60, 61, 62, 63, 64 and 115 more)")


def test_memory_maps(tmp_path: Path) -> None:
    """Read-only memory maps give the same report as arrays."""
    data = clean()
    data["train_images"][[3, 9]] = 0
    for name, array in data.items():
        np.save(tmp_path / f"{name}.npy", array)
    mapped = {name: np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in data}
    assert look(mapped) == look(data)


def test_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The report does not depend on how many images are measured at once."""
    data = clean()
    data["train_images"][41] = data["train_images"][2]
    whole = look(data)
    monkeypatch.setattr("artifacts.storage.arrays.CHUNK", 7)
    assert look(data) == whole


def test_validation_cannot_be_switched_off() -> None:
    """pandera's own switch, which an environment variable can set, leaves the contracts in force."""
    data = clean()
    data["train_labels"][5] = CLASSES
    with config_context(validation_enabled=False, validation_depth="SCHEMA_ONLY"):
        assert found(look(data)) == {"label-range": (5,)}


@pytest.mark.full_mnist
def test_mnist(mnist_arrays: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]) -> None:
    """MNIST has no error and no oddity."""
    report = check_data(*mnist_arrays, classes=10)
    assert not report.errors and not report.warnings
    assert report.train is not None and report.test is not None
    assert (report.train.images, report.test.images) == (60000, 10000)
    assert report.train.mean_ink == pytest.approx(0.1307, abs=1e-4)
