"""Clean image data, in which tests plant faults, and short views of the report on them."""

import numpy as np

from tasks.data.quality import DataReport, Problem
from tasks.data.schema import check_data

COUNT, CLASSES = 60, 3
NamedArrays = dict[str, np.ndarray]


def clean_arrays(seed: int = 0, ink: int = 1) -> NamedArrays:
    """Both splits: light strokes, of pixels in [ink, 255], in a dark frame; balanced labels; all images different."""
    rng = np.random.default_rng(seed)
    data: NamedArrays = {}
    for split in ("train", "test"):
        data[f"{split}_images"] = np.zeros((COUNT, 12, 12), np.uint8)
        data[f"{split}_images"][:, 1:-1, 1:-1] = rng.integers(ink, 256, (COUNT, 10, 10))
        data[f"{split}_labels"] = (np.arange(COUNT) % CLASSES).astype(np.uint8)
    return data


def report_on(data: NamedArrays, classes: int | None = CLASSES) -> DataReport:
    return check_data(**data, classes=classes)


def rules(problems: tuple[Problem, ...]) -> list[tuple[str, str]]:
    return [(problem.split, problem.check) for problem in problems]


def listed_images(report: DataReport) -> dict[str, tuple[int, ...]]:
    return {problem.check: problem.images for problem in (*report.errors, *report.warnings)}
