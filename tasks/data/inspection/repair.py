"""Write a sound copy of a data set: each repair is one that a problem asks for, and is told."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from artifacts.errors import UsageError
from artifacts.storage.arrays import chunks
from artifacts.storage.home import absolute, disk_errors
from artifacts.storage.store import Ref, Store
from tasks.data import idx
from tasks.data.datasets import FILES, Split, Splits
from tasks.data.inspection.inspect import Inspected, check_stored
from tasks.data.quality import SplitStatistics, is_flat
from tasks.data.reader.labels import NAME_FILES
from tasks.data.reader.parts import scale
from tasks.data.reader.read import Stored
from tasks.data.schema import INVERTED

Images = Iterator[np.ndarray]


class Repaired(NamedTuple):
    """A sound copy: its folder, and what was done, a line each."""

    folder: Path
    done: tuple[str, ...]


def repair(
    inspected: Inspected, out: Path, store: Store, transpose: bool | None = None, drop_copies: bool = False
) -> Repaired:
    """Write a sound copy as four IDX files into the new folder `out`, which appears whole.

    `transpose`: whether the images are turned; None: if they seem to lie on their side. `drop_copies`: whether copies
    within a split are left out; they are harmless in training, and some people add them on purpose. Raises UsageError,
    and writes nothing, if `out` exists, or if a problem needs a person.
    """
    out = absolute(out)
    if out.exists():
        raise UsageError(f"{out} exists, and nothing is overwritten; give --fix a new folder")
    stored = inspected.stored
    if stored is None or any(not problem.is_repairable for problem in inspected.inspection.errors):
        reasons = [problem.message for problem in inspected.inspection.errors if not problem.is_repairable]
        raise UsageError(f"no copy is written, because this needs a person: {'; '.join(reasons)}")
    work = _Repair(stored.splits, store)
    work.note_reading(inspected)
    checks = {problem.check for problem in inspected.inspection.problems}
    if transpose or (transpose is None and "sideways" in checks):
        work.transpose()
    work.unify_sizes()
    work.drop_flat()
    work.invert()
    work.drop_leaks()
    work.handle_copies(drop_copies)
    work.drop_unseen()
    work.count_labels_from_0()
    _refuse_if_unsound(work, store)
    _write(work.splits, out, store)
    return Repaired(out, tuple(work.done))


class _Repair:
    """A data set on its way to a sound one. Each step stores new arrays, a chunk at a time, if it has to."""

    def __init__(self, splits: Splits, store: Store):
        self.splits, self._store = splits, store
        self.done: list[str] = []

    def note_reading(self, inspected: Inspected) -> None:
        """What reading has done already: sizes made one, unreadable files left out."""
        said = {
            "several-sizes": "pictures of several sizes scaled to one",
            "unreadable": "files that cannot be read left out",
            "missing": "pictures that are not there left out",
        }
        found = {problem.check for problem in inspected.inspection.errors}
        self.done += [words for check, words in said.items() if check in found]

    def transpose(self) -> None:
        """Turn all images about their main diagonal."""
        self._map(lambda part: np.ascontiguousarray(part.transpose(0, 2, 1)))
        self.done.append("all images transposed")

    def unify_sizes(self) -> None:
        """Scale the test images to the size of the training images."""
        size, test = self.splits.train.images.shape[1:], self.splits.test.images
        if test.shape[1:] == size:
            return

        def scaled(part: np.ndarray) -> np.ndarray:
            return np.stack([scale(image, (size[0], size[1])) for image in part])

        images = self._store.put_chunks(
            (test.shape[0], *size), np.dtype(np.uint8), map(scaled, chunks(self._store.get(test)))
        )
        self._replace("test", Split(images=images, labels=self.splits.test.labels))
        self.done.append(f"test images scaled from {test.shape[2]}×{test.shape[1]} to {size[1]}×{size[0]}")

    def invert(self) -> None:
        """Invert the test split if its polarity is the other one, and single images that differ from their split."""
        lights = {name: self._table(name).light for name in ("train", "test")}
        for name, light in lights.items():
            is_other = (light - light.median()).abs() > INVERTED
            if name == "test" and abs(light.median() - lights["train"].median()) > INVERTED:
                is_other = ~is_other
            if is_other.any():
                self._invert_images(name, is_other.to_numpy())
                self.done.append(f"{is_other.sum():,} {name} images inverted")

    def drop_flat(self) -> None:
        """Leave out images of a single value."""
        self._keep("train", ~is_flat(self._table("train")).to_numpy(), "training images of a single value left out")
        self._keep("test", ~is_flat(self._table("test")).to_numpy(), "test images of a single value left out")

    def drop_leaks(self) -> None:
        """Leave out training images that are test images."""
        copies = self._table("train").digest.isin(self._table("test").digest)
        self._keep("train", ~copies.to_numpy(), "training images left out, which are test images too")

    def drop_unseen(self) -> None:
        """Leave out test images of classes that have no training images by now."""
        train, test = (self._store.get(split.labels) for split in (self.splits.train, self.splits.test))
        self._keep("test", np.isin(test, train), "test images left out, whose class has no training images")

    def handle_copies(self, is_dropping: bool) -> None:
        """Keep the first of the copies within a split, none if their labels differ; or say that they stay."""
        for name in ("train", "test"):
            table = self._table(name)
            copies, contradicting = table.duplicate.to_numpy(), table.contradiction.to_numpy()
            if is_dropping:
                self._keep(name, ~contradicting, f"{name} images left out, whose copies have another label")
                self._keep(name, ~self._table(name).duplicate.to_numpy(), f"copies left out of the {name} images")
            elif copies.any():
                others = f", {contradicting.sum():,} images with different labels among them"
                self.done.append(
                    f"{copies.sum():,} cop{'ies' if copies.sum() > 1 else 'y'} within the {name} images "
                    f"stay{others * bool(contradicting.any())}; --drop-copies leaves them out"
                )

    def count_labels_from_0(self) -> None:
        """Number the classes that occur from 0 if the first label is another; their old labels become names."""
        labels = self._store.get(self.splits.train.labels)
        used = np.unique(labels)
        if used[0] == 0:
            return
        names, numbers = self.splits.class_names, np.zeros(256, np.uint8)
        numbers[used] = np.arange(len(used))
        for name in ("train", "test"):
            split: Split = getattr(self.splits, name)
            renumbered = self._store.put(numbers[self._store.get(split.labels)])
            self._replace(name, Split(images=split.images, labels=renumbered))
        kept = tuple(names[label] if label < len(names) else str(label) for label in used.tolist())
        self.splits = self.splits.model_copy(update={"class_names": kept})
        self.done.append(f"labels {used[0]} to {used[-1]} made 0 to {len(used) - 1}; {NAME_FILES[0]} has the old ones")

    def _table(self, name: str) -> pd.DataFrame:
        split: Split = getattr(self.splits, name)
        return SplitStatistics(self._store.get(split.images), self._store.get(split.labels)).image_table

    def _replace(self, name: str, split: Split) -> None:
        self.splits = self.splits.model_copy(update={name: split})

    def _map(self, change: Callable[[np.ndarray], np.ndarray]) -> None:
        for name in ("train", "test"):
            split: Split = getattr(self.splits, name)
            n, height, width = split.images.shape
            parts = map(change, chunks(self._store.get(split.images)))
            images = self._store.put_chunks((n, width, height), np.dtype(np.uint8), parts)
            self._replace(name, Split(images=images, labels=split.labels))

    def _invert_images(self, name: str, mask: np.ndarray) -> None:
        split: Split = getattr(self.splits, name)

        def parts() -> Images:
            start = 0
            for part in chunks(self._store.get(split.images)):
                own = mask[start : start + len(part), np.newaxis, np.newaxis]
                yield np.where(own, 255 - part, part)
                start += len(part)

        images = self._store.put_chunks(split.images.shape, np.dtype(np.uint8), parts())
        self._replace(name, Split(images=images, labels=split.labels))

    def _keep(self, name: str, mask: np.ndarray, what: str) -> None:
        """Keep the images of a split that the mask selects, and say `what` the others are. Raises UsageError if none
        would be left.
        """
        if mask.all():
            return
        if not mask.any():
            raise UsageError(
                f"no copy is written, because it would have no {name} images ({len(mask):,} {what}); add {name} images"
            )
        split: Split = getattr(self.splits, name)
        raw = self._store.get(split.images)

        def parts() -> Images:
            start = 0
            for part in chunks(raw):
                yield part[mask[start : start + len(part)]]
                start += len(part)

        images = self._store.put_chunks((int(mask.sum()), *raw.shape[1:]), np.dtype(np.uint8), parts())
        labels = self._store.put(self._store.get(split.labels)[mask])
        self._replace(name, Split(images=images, labels=labels))
        self.done.append(f"{(~mask).sum():,} {what}")


def _refuse_if_unsound(work: _Repair, store: Store) -> None:
    report = check_stored(Stored(work.splits, (), ()), store)
    if report.errors:
        raise UsageError(
            "no copy is written, because it would not be sound either: "
            + "; ".join(problem.message for problem in report.errors)
        )


def _write(splits: Splits, out: Path, store: Store) -> None:
    refs = (splits.train.images, splits.train.labels, splits.test.images, splits.test.labels)
    with disk_errors(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        part = out.with_name(f".{out.name}-{os.getpid()}")
        part.mkdir()
        try:
            for name, ref in zip(FILES, refs, strict=True):
                _write_idx(part / name, ref, store)
            if splits.class_names:
                (part / NAME_FILES[0]).write_text("".join(f"{name}\n" for name in splits.class_names), "utf-8")
            part.rename(out)
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            raise


def _write_idx(path: Path, ref: Ref, store: Store) -> None:
    with path.open("wb") as file:
        file.write(idx.header(ref.shape))
        for part in chunks(store.get(ref)):
            file.write(np.ascontiguousarray(part).data)
