"""What became of every batch, and which versions of the model learned from it?"""

import difflib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ValidationError

from artifacts.errors import UsageError
from artifacts.lineage.manifest import Manifest, manifests
from artifacts.storage.store import Store
from tasks.data.datasets import Split
from tasks.monitoring.drift import Drift
from tasks.registry.registry import Registry
from tasks.registry.versions import Version
from tasks.retraining.incoming import feedback
from tasks.retraining.incoming.inbox import owner, waiting_batches
from tasks.retraining.incoming.notes import read_note
from tasks.retraining.ledger import all_batches, content_digest
from tasks.retraining.quarantine import SetAside, batches_aside


class BatchState(BaseModel):
    """A batch, as far as it is known: its data set, when (UTC) and from whom it is, its images, drift and state.

    waiting: in the inbox. collecting: corrections that are no batch yet. approval: it waits for a person. `versions`
    are those of the model that learned from it. Of the images of an accepted one, `left_out` more are not used.
    `repeats` are later batches with the same content. `report` is the path of the report of one that was set aside.
    `judged_by` is the version of the champion that checked its labels; without it, `unjudged` says why, if it is known.
    """

    batch: str
    dataset: str = ""
    added: datetime | None = None
    by: str = ""
    images: int | None = None
    left_out: int = 0
    drift: tuple[Drift, ...] = ()
    state: Literal["waiting", "collecting", "accepted", "withdrawn", "approval", "quarantine"]
    reason: str = ""
    versions: tuple[int, ...] = ()
    repeats: tuple[str, ...] = ()
    report: str = ""
    judged_by: int | None = None
    unjudged: str = ""

    @property
    def drifted(self) -> str:
        """The statistics that drifted, with their index, in words."""
        found = [f"{one.statistic} {one.index:.2f}" for one in self.drift if one.is_drift]
        return ", ".join(found) or ("none" if self.drift else "")

    @property
    def words(self) -> str:
        """The state in plain words."""
        numbers = ", ".join(map(str, self.versions))
        learned = f"learned by version{'s' * (len(self.versions) > 1)} {numbers}"
        learned = learned if numbers else "accepted, in no model yet"
        left_out = f"; {self.left_out:,} more images are not used" * bool(self.left_out)
        why, see = f": {self.reason}" if self.reason else "", f"; see {self.report}" if self.report else ""
        return {
            "waiting": "in the inbox" + (f", released{why}" * bool(why)),
            "collecting": "corrections that wait for the next retraining",
            "accepted": f"{learned}{left_out}" + f"; again as {', '.join(self.repeats)}" * bool(self.repeats),
            "withdrawn": f"withdrawn{why}" + (f"; {learned}" if numbers else ""),
            "approval": f"waits for approval{why}{see}",
            "quarantine": f"in quarantine{why}{see}",
        }[self.state]


def list_batches(store: Store, registry: Registry) -> list[BatchState]:
    """All batches: in the inbox, corrections, accepted or withdrawn, and set aside.

    Raises DigitflowError if a ledger is damaged, or if the registry, which is asked of accepted ones, does not answer.
    """
    return [*_arrived(store), *_corrections(store), *_recorded(store, registry), *map(_aside, batches_aside(store))]


def find_batch(name: str, batches: Sequence[BatchState]) -> BatchState:
    """The batch of that name. Raises UsageError, with names that are like it, if there is none."""
    found = [batch for batch in batches if name in (batch.batch, *batch.repeats) and batch.state != "collecting"]
    if found:  # one that was withdrawn may have arrived again under its name
        return next((batch for batch in found if batch.state != "withdrawn"), found[0])
    names = [batch.batch for batch in batches if batch.state != "collecting"]
    near = [known for known in names if name and name in known] or difflib.get_close_matches(name, names)
    hint = f"did you mean {' or '.join(near[:3])}? " if near else ""
    raise UsageError(f"there is no batch {name!r}; {hint}see: digitflow data")


def versions_by_batch(store: Store, registry: Registry) -> dict[tuple[str, str], set[int]]:
    """The versions in the registry that learned from each batch, by the data set and the digest of the batch.

    They are known from the manifests of this home's runs. That of a run that was suspended, or killed at its end, does
    not name its version, but the version names the run.
    """
    by_run = {(v.dataset, v.run): v.version for v in registry.versions() if isinstance(v, Version)}
    versions: dict[tuple[str, str], set[int]] = {}
    for run in manifests(store):
        numbers = {by_run.get((run.dataset, run.run)), run.version if run.registry == registry.tracking.key else None}
        for digest in _learned_from(run):
            versions.setdefault((run.dataset, digest), set()).update(number for number in numbers if number is not None)
    return versions


def _learned_from(run: Manifest) -> Iterator[str]:
    for step in run.steps:
        if step.name == "merge":
            try:
                yield from (content_digest(Split.model_validate(part)) for part in step.call.inputs["batches"])
            except (KeyError, TypeError, ValidationError):
                continue


def _arrived(store: Store) -> Iterator[BatchState]:
    for path in waiting_batches(store.home):
        note = read_note(path.name, store.home)
        yield BatchState(
            batch=path.name,
            dataset=owner(path, store.home) or "",
            added=note.at or _modified(path),
            by=note.source,
            images=note.images,
            state="waiting",
            reason=note.released.reason if note.released else "",
        )


def _corrections(store: Store) -> Iterator[BatchState]:
    for entry in feedback.waiting(store.home):
        yield BatchState(
            batch=entry.name,
            dataset=entry.dataset,
            added=datetime.fromtimestamp(entry.oldest, UTC),
            by="corrections",
            images=entry.corrections,
            state="collecting",
        )


def _recorded(store: Store, registry: Registry) -> Iterator[BatchState]:
    batches = list(all_batches(store))
    versions = versions_by_batch(store, registry) if batches else {}
    for batch in batches:
        yield BatchState(
            batch=batch.name,
            dataset=batch.note.dataset,
            added=batch.note.at or batch.added,
            by=batch.note.source,
            images=batch.data.labels.shape[0],
            left_out=batch.left_out,
            drift=batch.drift,
            state="withdrawn" if batch.withdrawn else "accepted",
            reason=batch.withdrawn.reason if batch.withdrawn else "",
            versions=tuple(sorted(versions.get((batch.note.dataset, batch.digest), ()))),
            repeats=batch.repeats,
            judged_by=batch.labels.champion if batch.labels else None,
            unjudged=batch.unjudged,
        )


def _aside(batch: SetAside) -> BatchState:
    note, report = read_note(batch.name, batch.path.parents[2]), batch.report
    try:
        drift = tuple(map(Drift.model_validate, report.get("drift", ())))
    except (ValidationError, TypeError):
        drift = ()
    return BatchState(
        batch=batch.name,
        dataset=str(report.get("dataset") or note.dataset),
        added=note.at or _modified(batch.path),
        by=note.source,
        images=report.get("images", note.images),
        drift=drift,
        state=batch.place,
        reason=batch.reason,
        report=str(batch.path),
    )


def _modified(path: Path) -> datetime | None:
    """When a batch, which may be a link to nowhere, was written; None if it was taken away meanwhile."""
    try:
        return datetime.fromtimestamp(path.lstat().st_mtime, UTC)
    except FileNotFoundError:
        return None
