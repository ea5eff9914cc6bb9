"""Is a batch learned from? Its form, whether it is known, its drift and its labels decide."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

from artifacts.errors import BadSource
from artifacts.storage.arrays import Labels, RawImages
from artifacts.storage.store import Store
from tasks.data.datasets import Split, Splits
from tasks.monitoring.drift import measure_drift
from tasks.pictures.training_layout import measure_conventions
from tasks.registry.versions import Version
from tasks.retraining.incoming.batch_formats import BatchData, Target, load_batch
from tasks.retraining.incoming.notes import Note, read_note
from tasks.retraining.judgement.label_check import LabelCheck
from tasks.retraining.judgement.label_judge import LabelJudge, why_not_judged
from tasks.retraining.ledger import Batch, content_digest, keep_fitted, store_batch
from tasks.retraining.quarantine import Place, batches_aside

OnDrift = Literal["accept", "refuse"]

WHOLE_DATASET_CHECKS = frozenset({"classes", "first-label", "missing-class", "imbalance", "sideways"})
"""Checks that make sense only for a whole data set: a batch that fails one is accepted all the same."""

DETAILS = {"digest", "drift", "labels", "unjudged"}
"""What the report on a batch tells besides the reason."""


class Refusal(NamedTuple):
    """Why a batch is not learned from, in a few words and, JSON-ready, in detail; `picture` is a PNG, or empty."""

    reason: str
    details: dict[str, Any]
    place: Place = "quarantine"
    picture: bytes = b""


class Repeat(NamedTuple):
    """The images and labels of a batch are known already, by this digest."""

    digest: str


class BatchJudge:
    """Judges batches: their form, whether they are known, their drift, and their labels."""

    def __init__(
        self,
        dataset: str,
        base: Splits,
        classes: int,
        records: Sequence[Batch],
        *,
        champion: Version | None,
        on_drift: OnDrift,
        store: Store,
        max_bytes: int,
    ):
        self._dataset, self._base, self._classes, self._store = dataset, base, classes, store
        self._on_drift, self._max_bytes = on_drift, max_bytes
        doubted = [batch.report for batch in batches_aside(store) if batch.place == "approval"]
        self._records = list(records)
        self._known = {batch.digest for batch in records if not batch.withdrawn}
        self._known |= {str(report.get("digest")) for report in doubted if report.get("dataset") == dataset}
        self._withdrawn = {batch.digest: batch.withdrawn for batch in records if batch.withdrawn}
        self._why_not = why_not_judged(champion, base, classes, store)
        self._champion = LabelJudge(champion, base.test, store) if champion else None

    def __call__(self, path: Path) -> Batch | Refusal | Repeat:
        """The record of a batch, or why there is none."""
        base, store = self._base, self._store
        trained_on = store.get(base.train.images)
        target = Target((trained_on.shape[1], trained_on.shape[2]), measure_conventions(trained_on), base.class_names)
        try:
            read = load_batch(path, store, self._max_bytes, target)
        except BadSource as error:
            return Refusal(str(error), {"errors": [{"message": str(error)}]})
        images, labels, is_changed, _ = like_data_set(read, store.get(base.test.images))
        report = _check(images, labels, base, classes=self._classes, store=store)
        if report["errors"]:
            return Refusal("; ".join(problem["message"] for problem in report["errors"]), report)
        data, note = store_batch(images, labels, store), read_note(path.name, store.home)
        if (digest := content_digest(data)) in self._known:
            return Repeat(digest)
        checked, unjudged = self._check_labels(images, labels, note)
        batch = Batch(
            name=path.name,
            digest=digest,
            data=data,
            added=datetime.now(UTC),
            drift=measure_drift((trained_on, store.get(base.train.labels)), (images, labels)),
            left_out=len(read.labels) - len(labels) + sum(flaw.number for flaw in read.left_out),
            labels=checked,
            unjudged=unjudged,
            note=note.model_copy(update={"dataset": self._dataset}),
        )
        refusal = None if self._is_released(batch) else self._refuse(batch)
        if refusal is None and is_changed:
            keep_fitted(batch, store)
        if refusal is None or refusal.place == "approval":
            self._known.add(digest)
        if refusal is None:
            self._records.append(batch)
        return refusal or batch

    def _check_labels(self, images: RawImages, labels: Labels, note: Note) -> tuple[LabelCheck | None, str]:
        """What the champion says of the labels; else why it was not asked."""
        if note.origin == "corrections":  # the champion is wrong about each, or nobody would have corrected it
            return None, "people corrected the champion in each of its images"
        if self._why_not or self._champion is None:
            return None, self._why_not
        return self._champion.check(images, labels), ""

    def _is_released(self, batch: Batch) -> bool:
        """Whether a person let the batch in, and nobody withdrew the same images since."""
        released, withdrawn = batch.note.released, self._withdrawn.get(batch.digest)
        return released is not None and (withdrawn is None or released.at > withdrawn.at)

    def _repeats(self, batch: Batch) -> list[str]:
        """The batches that have at least half of the images of this one, whatever their order, in words."""
        images = _image_digests(batch.data, self._store)
        found = []
        for record in self._records:
            if not self._store.holds(record.data.images):  # it was withdrawn, and its files are gone
                continue
            shared = int(images.isin(_image_digests(record.data, self._store)).sum())
            if record.digest != batch.digest and 2 * shared >= len(images):
                gone = record.withdrawn
                fate = f"withdrawn on {gone.at:%Y-%m-%d}: {gone.reason}" if gone else "accepted before"
                found.append(f"{shared:,} of its {len(images):,} images are those of {record.name}, {fate}")
        return found

    def _refuse(self, batch: Batch) -> Refusal | None:
        """All reasons why a batch is set aside, so that a person who lets it in has seen each; None without any."""
        checked, withdrawn = batch.labels, self._withdrawn.get(batch.digest)
        drifted = ", ".join(measured.statistic for measured in batch.drift if measured.is_drift)
        reasons = []
        if withdrawn:
            reasons.append(f"the same images were withdrawn on {withdrawn.at:%Y-%m-%d}: {withdrawn.reason}")
        reasons += self._repeats(batch)
        if drifted and self._on_drift == "refuse":
            reasons.append(f"it drifted from the data set in {drifted}")
        place: Place = "quarantine" if reasons else "approval"
        is_doubted = checked is not None and checked.is_suspicious
        if checked and is_doubted:
            reasons.append(checked.describe(self._base.class_names))
        if not reasons:
            return None
        details = {"images": batch.data.labels.shape[0], **batch.model_dump(mode="json", include=DETAILS)}
        picture = self._draw(batch.data, [one.number for one in checked.examples]) if checked and is_doubted else b""
        return Refusal("; ".join(reasons), details, place, picture)

    def _draw(self, data: Split, numbers: list[int]) -> bytes:
        """A picture of these images of a batch, a row for each label."""
        from tasks.data.inspection.grid import draw_grid

        images, labels = (self._store.get(ref)[numbers] for ref in (data.images, data.labels))
        with self._store.scratch() as folder:
            part = Split(images=(scratch := Store(folder)).put(images), labels=scratch.put(labels))
            return draw_grid(Splits(train=part, test=part, class_names=self._base.class_names), scratch)


def _image_digests(data: Split, store: Store) -> Any:
    """A digest of each image, as a pandas series."""
    from tasks.data.quality import SplitStatistics

    return SplitStatistics(store.get(data.images), store.get(data.labels)).image_table.digest


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
