"""Images and labels written in the forms that people bring."""

import csv
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tasks.retraining.incoming.batch_formats import Target
from tests.tasks.data.reader.conftest import idx_files, labelled_pictures

Write = Callable[[Path, np.ndarray, np.ndarray], Path]
TARGET = Target((8, 8), classes=10)


def idx_pair(name: Callable[[str, int], str], *, packed: bool = False) -> Write:
    def write(folder: Path, images: np.ndarray, labels: np.ndarray) -> Path:
        idx_files(folder / "mine", (images, labels, images[:0], labels[:0]), name, packed)
        for path in (folder / "mine").iterdir():
            if "t10k" in path.name.lower() or "test" in path.name.lower():
                path.unlink()
        return folder / "mine"

    return write


def npz(images: str, labels: str, change: Callable[[np.ndarray], np.ndarray] = np.asarray, **others: int) -> Write:
    def write(folder: Path, own: np.ndarray, targets: np.ndarray) -> Path:
        np.savez(
            folder / "mine.npz", **{images: own, labels: change(targets)}, **{k: np.array(v) for k, v in others.items()}
        )  # type: ignore[arg-type]
        return folder / "mine.npz"

    return write


def of_images(change: Callable[[np.ndarray], np.ndarray]) -> Write:
    return lambda folder, images, labels: npz("images", "labels")(folder, change(images), labels)


def table(header: list[str] | None, *, last: bool = False, delimiter: str = ",", before: str = "") -> Write:
    """A label and the pixels of an image in each row; `last`: the label comes last."""

    def write(folder: Path, images: np.ndarray, labels: np.ndarray) -> Path:
        with (folder / "mine.csv").open("w", newline="") as file:
            file.write(before)
            rows = csv.writer(file, delimiter=delimiter)
            rows.writerows([header] if header else [])
            for image, label in zip(images, labels.tolist(), strict=True):
                rows.writerow([*image.ravel(), label] if last else [label, *image.ravel()])
        return folder / "mine.csv"

    return write


PIXELS = [f"pixel{i}" for i in range(64)]


def labels_csv(header: str, row: str, *, encoding: str = "utf-8", name: str = "labels.csv", below: str = "") -> Write:
    def write(folder: Path, images: np.ndarray, labels: np.ndarray) -> Path:
        lines = [header, *(row.format(i=i, label=label) for i, label in enumerate(labels.tolist()))]
        labelled_pictures(folder / "mine" / below, images, b"")
        (folder / "mine" / below / "labels.csv").unlink()
        (folder / "mine" / name).write_text("\n".join(lines), encoding)
        return folder / "mine"

    return write


def pairs(images: np.ndarray, labels: np.ndarray) -> Counter[tuple[bytes, int]]:
    return Counter((np.asarray(image).tobytes(), int(label)) for image, label in zip(images, labels, strict=True))
