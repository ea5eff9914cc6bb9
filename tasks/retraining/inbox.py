"""Labelled images that arrive after a data set was published: read from an inbox, judged, and kept exactly once."""

import contextlib
import hashlib
import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock
from pydantic import BaseModel, ValidationError

from artifacts.errors import BadSource, DigitflowError, UsageError
from artifacts.storage.arrays import Labels, RawImages
from artifacts.storage.store import Store, disk_errors
from tasks.data.datasets import Split, Splits
from tasks.retraining.batch_formats import KINDS, _meant_for, read
from tasks.retraining.drift import Drift, compare

RARE = frozenset({"classes", "missing-class", "imbalance"})
"""Rules about whole data sets, which a batch need not keep."""


OnDrift = Literal["accept", "refuse"]


class Batch(BaseModel, frozen=True):
    """An accepted batch. `digest` identifies it by content, `added` is UTC."""

    name: str
    digest: str
    data: Split
    added: datetime
    drift: tuple[Drift, ...]


class Arrivals(BaseModel):
    """What became of an inbox: all batches accepted so far, the new among them, and what was put aside, with why."""

    accepted: tuple[Batch, ...]
    new: tuple[Batch, ...]
    quarantined: dict[str, str]
    repeated: tuple[str, ...]


def add(path: Path, home: Path) -> Path:
    """Put a copy of a batch into the inbox, where it appears whole. Raises UsageError if it is no batch."""
    if not path.exists():
        raise UsageError(f"there is no {path}")
    if not (path.is_dir() or (path.suffix == ".npz" and path.is_file())):
        raise UsageError(f"{path} is no batch: give {KINDS}")
    with disk_errors(home):
        inbox = home / "inbox"
        inbox.mkdir(parents=True, exist_ok=True)
        name = f"{datetime.now(UTC):%Y%m%d-%H%M%S-%f}-{path.name}"
        hidden = inbox / f".{name}"
        (shutil.copytree if path.is_dir() else shutil.copy2)(path, hidden)
        return hidden.rename(inbox / name)


@contextlib.contextmanager
def one_at_a_time(home: Path) -> Iterator[None]:
    """Inside, nobody else on this machine takes from the inbox, for whatever data set; nested use is one."""
    with disk_errors(home):
        (home / "batches").mkdir(parents=True, exist_ok=True)
        with FileLock(home / "batches" / "inbox.lock", is_singleton=True):
            yield


def fetch(url: str, home: Path) -> None:
    """Copy what is new below an fsspec URL into the inbox; what has arrived once under its name is not fetched again.

    Raises DigitflowError if the URL cannot be read.
    """
    import fsspec

    inbox = home / "inbox"
    known, hidden = [inbox, home / "batches" / "kept", home / "quarantine"], inbox / ".fetched"
    with one_at_a_time(home):
        try:
            files, root = fsspec.core.url_to_fs(url)
            for source in sorted(files.ls(root, detail=False)):
                name = source.rstrip("/").rpartition("/")[2]
                if name.startswith(".") or any((folder / name).exists() for folder in known):
                    continue
                shutil.rmtree(hidden, ignore_errors=True)  # of a fetch that was cut short
                hidden.mkdir(parents=True)
                files.get(source, str(hidden / name), recursive=True)
                (hidden / name).replace(inbox / name)
        except Exception as error:  # each file system raises its own
            what = " ".join(str(error).split()) or type(error).__name__
            raise DigitflowError(f"the inbox {url} cannot be read: {what}; check DIGITFLOW_INBOX") from error


def collect(dataset: str, base: Splits, classes: int, on_drift: OnDrift, store: Store, max_bytes: int) -> Arrivals:
    """Judge what is in the inbox, and not meant for another data set, against the base data: accept it, put it into
    quarantine, or know it already.

    A batch leaves the inbox only after the ledger, written atomically, has it, and the ledger knows batches by content:
    whatever is killed when, none is lost or accepted twice. What arrived is kept, so that lost arrays can be read anew.
    """
    new, repeated, aside = [], [], {}
    with _ledger(dataset, store) as accepted:
        for batch in accepted:
            if not (store.holds(batch.data.images) and store.holds(batch.data.labels)):
                _read_anew(batch, store, max_bytes)
        for path in sorted(path for path in (store.home / "inbox").glob("*") if not path.name.startswith(".")):
            if _meant_for(path) not in (None, dataset):
                continue
            try:
                images, labels = read(path, store, max_bytes)
                report = _judge(images, labels, base, classes, store)
            except BadSource as error:
                report = {"errors": [{"message": str(error)}]}
            if report["errors"]:
                aside[path.name] = "; ".join(problem["message"] for problem in report["errors"])
                _set_aside(path, {"reason": aside[path.name]} | report, store)
                continue
            batch = _batch(path.name, images, labels, base, store)
            drifted = ", ".join(drift.statistic for drift in batch.drift if drift.is_drift)
            if drifted and on_drift == "refuse":
                aside[path.name] = f"it drifted from the data set in {drifted}"
                told = {"reason": aside[path.name], "drift": [drift.model_dump() for drift in batch.drift]}
                _set_aside(path, told, store)
            elif any(batch.digest == other.digest for other in accepted):
                repeated.append(path.name)
            else:
                new.append(batch)
                accepted.append(batch)
                _write(dataset, accepted, store)
            if path.exists():
                _move(path, _kept(store))
        return Arrivals(accepted=tuple(accepted), new=tuple(new), quarantined=aside, repeated=tuple(repeated))


def quarantined(store: Store) -> Iterator[tuple[Path, str]]:
    """The report of every batch in quarantine, and in a few words why it is there."""
    for path in sorted((store.home / "quarantine").glob("*/report.json")):
        reason = "no reason kept"
        with contextlib.suppress(ValueError, OSError):
            reason = json.loads(path.read_bytes()).get("reason", reason)
        yield path, reason


def accepted(store: Store) -> Iterator[Batch]:
    """Every accepted batch of every data set. Raises DigitflowError if a ledger is damaged."""
    for path in sorted((store.home / "batches").glob("*.json")):
        yield from _read(path)


def _read_anew(batch: Batch, store: Store, max_bytes: int) -> None:
    """Bring back the lost arrays of an accepted batch. Raises DigitflowError if they cannot be had."""
    path = _kept(store) / batch.name
    try:
        if _stored(*read(path, store, max_bytes), store) == batch.data:
            return
        what = "it is not what was accepted"
    except BadSource as error:
        what = str(error)
    raise DigitflowError(f"an accepted batch is lost: {path}: {what}; restore it from a backup")


def _judge(images: RawImages, labels: Labels, base: Splits, classes: int, store: Store) -> dict[str, Any]:
    """What the contracts of the base data say of a batch, the test images among them, which nobody may learn from."""
    from tasks.data.schema import check_data

    report = check_data(images, labels, store.get(base.test.images), store.get(base.test.labels), classes)
    told = report.model_dump(mode="json")
    shape, size = images.shape[1:], base.train.images.shape[1:]
    ours = [p for p in told["errors"] if p["split"] != "test" and p["check"] not in RARE]
    if shape != size:
        ours.append({"check": "size", "message": f"images are {shape}, those of the data set {size}; scale them"})
    return told | {"errors": ours}


def _batch(name: str, images: RawImages, labels: Labels, base: Splits, store: Store) -> Batch:
    data = _stored(images, labels, store)
    before = store.get(base.train.images), store.get(base.train.labels)
    return Batch(
        name=name,
        digest=hashlib.sha256(f"{data.images.sha256}{data.labels.sha256}".encode()).hexdigest(),
        data=data,
        added=datetime.now(UTC),
        drift=compare(before, (images, labels)),
    )


def _stored(images: RawImages, labels: Labels, store: Store) -> Split:
    return Split(images=store.put(images), labels=store.put(labels))


def _kept(store: Store) -> Path:
    return store.home / "batches" / "kept"


@contextlib.contextmanager
def _ledger(dataset: str, store: Store) -> Iterator[list[Batch]]:
    with one_at_a_time(store.home):
        path = _path(dataset, store)
        yield _read(path) if path.exists() else []


def _read(path: Path) -> list[Batch]:
    try:
        return [Batch.model_validate(item) for item in json.loads(path.read_bytes())]
    except (ValueError, ValidationError) as error:
        raise DigitflowError(f"the ledger of batches {path} is damaged ({error}); restore it from a backup") from None


def _write(dataset: str, batches: list[Batch], store: Store) -> None:
    content = json.dumps([batch.model_dump(mode="json") for batch in batches], indent=1).encode()
    store.write(str(_path(dataset, store).relative_to(store.home)), content)


def _path(dataset: str, store: Store) -> Path:
    return store.home / "batches" / f"{dataset.replace('/', '_')}.json"


def _set_aside(path: Path, report: dict[str, Any], store: Store) -> None:
    """Move a bad batch, with its report beside it, to where nothing is learned from."""
    store.write(f"quarantine/{path.name}/report.json", json.dumps(report, indent=1).encode())
    _move(path, store.home / "quarantine" / path.name)


def _move(path: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / path.name
    if target.is_dir():
        shutil.rmtree(target)
    path.replace(target)
