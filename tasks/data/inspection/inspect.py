"""Read a data set, hold it against all contracts, and list every problem with its remedy. Nothing is trained."""

import shlex
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from pydantic import BaseModel

from artifacts.errors import InvalidData
from artifacts.storage.store import Store
from tasks.data.datasets import Place, Source, Splits
from tasks.data.quality import DataReport, Problem
from tasks.data.reader.layouts import find_data
from tasks.data.reader.read import Stored, read_place
from tasks.data.schema import check_data

REPAIRABLE = frozenset(
    {
        *("leak", "blank", "constant", "inverted", "polarity", "unseen-label", "first-label", "sideways"),
        *("several-sizes", "unreadable", "missing", "duplicate", "contradiction"),
    }
)
"""The checks whose problems a sound copy has not."""


OPTIONS = {"sideways": "--transpose", "duplicate": "--drop-copies", "contradiction": "--drop-copies"}
"""The option that a repair is asked for with, so that a person sees what will be done."""


def is_repairable(problem: Problem) -> bool:
    """Whether a sound copy has no such problem. Test images of another size are scaled."""
    return problem.check in REPAIRABLE or (problem.check == "sizes" and problem.message.startswith("test images"))


class ClassCount(BaseModel, frozen=True):
    """A class: its label, its name if it has one, and its number of images in each split."""

    label: int
    name: str | None
    train: int
    test: int


class Found(BaseModel, frozen=True):
    """A problem. An error makes the data unusable. `is_repairable`, a sound copy does not have it."""

    severity: Literal["error", "warning"]
    check: str
    message: str
    count: int
    images: tuple[int, ...]
    is_repairable: bool


class Inspection(BaseModel, frozen=True):
    """What a data set is and what is wrong with it. Sizes are None where nothing could be read."""

    name: str
    path: str
    what: str
    train_images: int | None = None
    test_images: int | None = None
    height: int | None = None
    width: int | None = None
    classes: tuple[ClassCount, ...] = ()
    notes: tuple[str, ...] = ()
    problems: tuple[Found, ...] = ()

    @property
    def errors(self) -> list[Found]:
        return [problem for problem in self.problems if problem.severity == "error"]

    @property
    def is_repairable(self) -> bool:
        """Whether a sound copy can be written, and would have fewer problems."""
        return any(p.is_repairable for p in self.problems) and all(p.is_repairable for p in self.errors)

    def mending(self, path: str) -> str:
        """The command that writes a sound copy of the data at `path`, if one can be written."""
        checks = {problem.check for problem in self.problems}
        options = dict.fromkeys(option for check, option in OPTIONS.items() if check in checks)
        return " ".join(["digitflow data check", shlex.quote(path), "--fix OUT", *options])


class Inspected(NamedTuple):
    """An inspection, and what was read of the data set, if anything could be."""

    inspection: Inspection
    stored: Stored | None
    report: DataReport


def inspect(source: Source, place: Place, store: Store) -> Inspected:
    """Read and check a data set. Raises UsageError if there is none."""
    what = find_data(Path(place.path)).what
    try:
        stored = read_place(source.digests[0], place, store)
    except InvalidData as error:
        report = DataReport.model_validate(error.report)
        inspection = Inspection(name=source.name, path=place.path, what=what, problems=_found(report))
        return Inspected(inspection, None, report)
    report = check_stored(stored, store)
    splits = stored.splits
    inspection = Inspection(
        name=source.name,
        path=place.path,
        what=what,
        train_images=splits.train.images.shape[0],
        test_images=splits.test.images.shape[0],
        height=splits.train.images.shape[1],
        width=splits.train.images.shape[2],
        classes=count_classes(splits, store),
        notes=stored.notes,
        problems=_found(report),
    )
    return Inspected(inspection, stored, report)


def check_stored(stored: Stored, store: Store) -> DataReport:
    """The report of all contracts on a data set in the store, with what kept it from being read as it is."""
    splits = stored.splits
    report = check_data(
        train_images=store.get(splits.train.images),
        train_labels=store.get(splits.train.labels),
        test_images=store.get(splits.test.images),
        test_labels=store.get(splits.test.labels),
        classes=None,
        class_names=splits.class_names,
        files=stored.files,
    )
    flaws = [Problem(split="both", check=f.check, message=f.message, count=f.number, images=()) for f in stored.flaws]
    return report.model_copy(update={"errors": (*flaws, *report.errors)})


def refuse_unsound(source: Source, place: Place, store: Store) -> tuple[Splits, list[str]]:
    """The data set and the warnings, if it is sound. Raises InvalidData, which names every problem and the way on."""
    inspection, stored, report = inspect(source, place, store)
    if stored is None or report.errors:
        problems = "; ".join(problem.message for problem in (*report.errors, *report.warnings))
        way_on = f"`digitflow data check {shlex.quote(place.path)}` shows it"
        if inspection.is_repairable:
            way_on = f"`{inspection.mending(place.path)}` writes a sound copy, and {way_on}"
        raise InvalidData(f"{source.name}: {problems}; {way_on}", report.model_dump(mode="json"))
    mending = f"`{inspection.mending(place.path)}` writes a copy without what can be mended"
    return stored.splits, [problem.message for problem in report.warnings] + [mending] * inspection.is_repairable


def count_classes(splits: Splits, store: Store) -> tuple[ClassCount, ...]:
    """How many images each class has."""
    labels = [store.get(split.labels) for split in (splits.train, splits.test)]
    size = max((int(own.max()) + 1 for own in labels if len(own)), default=0)
    train, test = (np.bincount(own, minlength=size).tolist() for own in labels)
    names = splits.class_names
    return tuple(
        ClassCount(label=i, name=names[i] if i < len(names) else None, train=train[i], test=test[i])
        for i in range(size)
    )


def _found(report: DataReport) -> tuple[Found, ...]:
    return tuple(
        Found(
            severity=severity,
            check=problem.check,
            message=problem.message,
            count=problem.count,
            images=problem.images,
            is_repairable=is_repairable(problem),
        )
        for severity, problems in (("error", report.errors), ("warning", report.warnings))
        for problem in problems
    )
