"""Judge the labelled batches that arrived: accept them, put them into quarantine, or recognise them."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel

from artifacts.errors import BadSource
from artifacts.storage.arrays import Labels, RawImages
from artifacts.storage.home import KEPT_BATCHES
from artifacts.storage.store import Store
from tasks.caching import step
from tasks.data.datasets import Splits
from tasks.pictures.training_layout import measure_conventions
from tasks.retraining import feedback
from tasks.retraining.batch_formats import BatchData, Target, dataset_named_in, load_batch
from tasks.retraining.drift import measure_drift
from tasks.retraining.inbox import fetch_batches, inbox_lock, move_batch, waiting_batches
from tasks.retraining.ledger import (
    Batch,
    content_digest,
    keep_fitted,
    read_ledger,
    restore_arrays,
    store_batch,
    write_ledger,
)
from tasks.retraining.quarantine import quarantine_batch

OnDrift = Literal["accept", "refuse"]

WHOLE_DATASET_CHECKS = frozenset({"classes", "first-label", "missing-class", "imbalance", "sideways"})
"""Checks that make sense only for a whole data set: a batch that fails one is accepted all the same."""


class Arrivals(BaseModel):
    """What became of the batches in an inbox."""

    accepted: tuple[Batch, ...]
    """Every batch accepted so far, the new ones included."""
    new: tuple[Batch, ...]
    quarantined: dict[str, str]
    """The reason, by the name of the batch."""
    repeated: tuple[str, ...]
    """The names of batches whose content was known already."""


@step("collect", cached=False)
def collect(
    dataset: str, base: Splits, classes: int, *, on_drift: OnDrift, store: Store, inbox: str, max_bytes: int
) -> Arrivals:
    """Fetch new batches below the URL `inbox`, if it is not empty, hand in all corrections, and judge every batch.

    The data set has `classes` classes and the splits `base`. Raises DigitflowError if the ledger is damaged.
    """
    with inbox_lock(store.home):
        if inbox:
            fetch_batches(inbox, store.home)
        feedback.hand_in(store.home)
        return judge_arrivals(dataset, base, classes, on_drift=on_drift, store=store, max_bytes=max_bytes)


def judge_arrivals(
    dataset: str, base: Splits, classes: int, *, on_drift: OnDrift, store: Store, max_bytes: int
) -> Arrivals:
    """Judge the batches in the inbox against the base data, except those that name another data set.

    The arrays of batches that were accepted before are restored if the store lost them.
    """
    new, repeated, quarantined = [], [], {}
    with inbox_lock(store.home):
        accepted = read_ledger(dataset, store)
        for batch in accepted:
            restore_arrays(batch, store, max_bytes)
        for path in waiting_batches(store.home):
            if dataset_named_in(path) not in (None, dataset):
                continue
            verdict = _judge(path, base, classes, on_drift=on_drift, store=store, max_bytes=max_bytes)
            if isinstance(verdict, _Refusal):
                quarantined[path.name] = verdict.reason
                quarantine_batch(path, verdict.reason, verdict.details, store)
                continue
            if any(verdict.digest == batch.digest for batch in accepted):
                repeated.append(path.name)
            else:
                new.append(verdict)
                accepted.append(verdict)
                write_ledger(dataset, accepted, store)
            move_batch(path, store.home / KEPT_BATCHES)
    return Arrivals(accepted=tuple(accepted), new=tuple(new), quarantined=quarantined, repeated=tuple(repeated))


class _Refusal(NamedTuple):
    """Why a batch is not accepted, in a few words and, JSON-ready, in detail."""

    reason: str
    details: dict[str, Any]


def _judge(
    path: Path, base: Splits, classes: int, *, on_drift: OnDrift, store: Store, max_bytes: int
) -> Batch | _Refusal:
    trained_on = store.get(base.train.images)
    target = Target((trained_on.shape[1], trained_on.shape[2]), measure_conventions(trained_on), base.class_names)
    try:
        read = load_batch(path, store, max_bytes, target)
    except BadSource as error:
        return _Refusal(str(error), {"errors": [{"message": str(error)}]})
    images, labels, is_changed, _ = like_data_set(read, store.get(base.test.images))
    report = _check(images, labels, base, classes=classes, store=store)
    if report["errors"]:
        return _Refusal("; ".join(problem["message"] for problem in report["errors"]), report)
    drift = measure_drift((store.get(base.train.images), store.get(base.train.labels)), (images, labels))
    drifted = ", ".join(measured.statistic for measured in drift if measured.is_drift)
    if drifted and on_drift == "refuse":
        details = {"drift": [measured.model_dump() for measured in drift]}
        return _Refusal(f"it drifted from the data set in {drifted}", details)
    data, added = store_batch(images, labels, store), datetime.now(UTC)
    left_out = len(read.labels) - len(labels) + sum(flaw.number for flaw in read.left_out)
    batch = Batch(name=path.name, digest=content_digest(data), data=data, added=added, drift=drift, left_out=left_out)
    if is_changed:
        keep_fitted(batch, store)
    return batch


def like_data_set(batch: BatchData, test_images: RawImages) -> BatchData:
    """The batch without the images that are test images, unless all are; inverted if it is dark on light and those not.

    Only then does it differ from what was read, and `is_fitted`.
    """
    from tasks.data.quality import SplitStatistics, is_flat
    from tasks.data.schema import INVERTED

    test, images, labels = SplitStatistics(test_images, batch.labels).image_table, batch.images, batch.labels
    table = SplitStatistics(images, labels).image_table
    is_inverted = bool(abs(table.light.median() - test.light.median()) > INVERTED)
    if is_inverted:
        images = 255 - images
        table = SplitStatistics(images, labels).image_table
    is_test = (table.digest.isin(test.digest[~is_flat(test)]) & ~is_flat(table)).to_numpy()
    has_both = bool(is_test.any() and not is_test.all())
    if has_both:
        images, labels = images[~is_test], labels[~is_test]
    return BatchData(images, labels, batch.is_fitted or is_inverted or has_both)


def _check(images: RawImages, labels: Labels, base: Splits, *, classes: int, store: Store) -> dict[str, Any]:
    """Check a batch as training images of the data set; returns the report as JSON.

    Its errors leave out those of the test split, and those of checks that only a whole data set must pass.
    """
    from tasks.data.schema import check_data

    report = check_data(
        train_images=images,
        train_labels=labels,
        test_images=store.get(base.test.images),
        test_labels=store.get(base.test.labels),
        classes=classes,
        class_names=base.class_names,
    )
    details = report.model_dump(mode="json")
    errors = [p for p in details["errors"] if p["split"] != "test" and p["check"] not in WHOLE_DATASET_CHECKS]
    return details | {"errors": errors}
