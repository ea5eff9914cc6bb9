"""The report on a data set counts and lists exactly, however the arrays are stored and read."""

from pathlib import Path

import numpy as np
import pytest
from pandera.config import config_context

from tasks.data.quality import LISTED, DataReport
from tests.tasks.data.conftest import CLASSES, COUNT, clean_arrays, listed_images, report_on, rules


def test_summary_agrees_with_numpy() -> None:
    """The summary has the numbers that numpy measures on the whole array, and JSON keeps them."""
    data = clean_arrays()
    report = report_on(data)
    summary = report.train
    assert summary is not None
    assert (summary.images, summary.height, summary.width, summary.classes) == (COUNT, 12, 12, (20, 20, 20))
    images = data["train_images"]
    measured = (summary.mean_ink, summary.coverage, summary.contrast)
    assert measured == pytest.approx((images.mean() / 255, (images > 0).mean(), images.std(axis=(1, 2)).mean() / 255))
    assert DataReport.model_validate_json(report.model_dump_json()) == report


@pytest.mark.parametrize("value", [0, 77])
def test_many_flat_images_are_an_error(value: int) -> None:
    """More than one blank or constant image, and more than 1% of a split, is an error, but no copy and no leak."""
    data = clean_arrays()
    data["train_images"][:2] = data["test_images"][:1] = value
    report = report_on(data)
    rule = "blank" if value == 0 else "constant"
    assert rules(report.errors) == [("train", rule)] and rules(report.warnings) == [("test", rule)]


def test_long_lists_are_cut() -> None:
    """A problem lists its first LISTED images and counts all of them."""
    data = {name: np.concatenate([array] * 3) for name, array in clean_arrays().items()}
    duplicate = report_on(data).warnings[0]
    assert (duplicate.check, duplicate.count) == ("duplicate", 2 * COUNT)
    assert duplicate.images == tuple(range(COUNT, COUNT + LISTED))
    assert duplicate.message.endswith("(images 60, 61, 62, 63, 64 and 115 more)")


def test_memory_maps(tmp_path: Path) -> None:
    """Read-only memory maps give the same report as arrays."""
    data = clean_arrays()
    data["train_images"][[3, 9]] = 0
    for name, array in data.items():
        np.save(tmp_path / f"{name}.npy", array)
    mapped = {name: np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in data}
    assert report_on(mapped) == report_on(data)


def test_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The report does not depend on how many images are measured at once."""
    data = clean_arrays()
    data["train_images"][41] = data["train_images"][2]
    whole = report_on(data)
    monkeypatch.setattr("artifacts.storage.arrays.CHUNK", 7)
    assert report_on(data) == whole


def test_validation_cannot_be_switched_off() -> None:
    """pandera's own switch, which an environment variable can set, leaves the contracts in force."""
    data = clean_arrays()
    data["train_labels"][5] = CLASSES
    with config_context(validation_enabled=False, validation_depth="SCHEMA_ONLY"):
        assert listed_images(report_on(data)) == {"label-range": (5,)}
