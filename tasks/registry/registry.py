"""The versions of each data set, the champion among them and its history: a thin layer over MLflow's model registry."""

import contextlib
import hashlib
import json
import re
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from artifacts.errors import ArtifactLost, DigitflowError, UsageError, describe_validation_error
from artifacts.storage.store import Digest, Ref, Store
from tasks.registry.history import predecessor, unrecorded_change, with_effects
from tasks.registry.mlflow_client import Tracking
from tasks.registry.mlflow_runs import log_candidate
from tasks.registry.run_tags import describe, version_tags
from tasks.registry.versions import (
    CHALLENGER,
    CHAMPION,
    PREFIX,
    RECORD,
    WEIGHTS,
    WITHDRAWN,
    Candidate,
    ChampionChanged,
    Change,
    Package,
    Promotion,
    PromotionKind,
    RegisteredModel,
    UnreadableVersion,
    Version,
)

_PROMOTION = "promotion."
"""Start of the tags of a registered model that hold its `Promotion`s as JSON."""


class Registry:
    """The models of one MLflow server, or of the SQLite database under `home`; a registered model per data set.

    The alias `champion` says which version is in use. A promotion writes its record first and moves the alias last, in
    one transaction. Lookups in a local database do not import MLflow. Raises DigitflowError where MLflow cannot be
    reached or written.
    """

    def __init__(self, home: Path):
        self.tracking = Tracking(home)

    def versions(self, dataset: str | None = None) -> list[Version | UnreadableVersion]:
        """All versions, of one data set or of all, the latest first."""
        versions = [version for model in self._models(dataset) for version in model.versions()]
        return sorted(versions, key=lambda version: version.created, reverse=True)

    def find(self, number: int | None = None, dataset: str | None = None) -> Version:
        """The version with that number, or the champion.

        Raises UsageError if there is none, or if several data sets have one and `dataset` does not say which.
        Raises DigitflowError if its record is unreadable.
        """
        versions = [
            v for v in self.versions(dataset) if v.version == number or (number is None and CHAMPION in v.aliases)
        ]
        what = "champion" if number is None else f"version {number}"
        if len(versions) > 1:
            names = ", ".join(sorted(version.dataset for version in versions))
            raise UsageError(f"several data sets have a {what}: {names}; add --dataset (in Python: dataset=…)")
        if not versions:
            of = f" of {dataset}" if dataset else ""
            others = [v for v in self.versions(dataset) if number is None]
            remedy = "promote a version, or see" if others else "train one first, or see" if number is None else "see"
            raise UsageError(f"there is no {what}{of}; {remedy}: digitflow models")
        return _readable(versions[0])

    def champion(self, dataset: str) -> Version | None:
        """The version in use. Raises DigitflowError if its record is unreadable: that is not the same as none."""
        number = self.champion_number(dataset)
        return None if number is None else self.find(number, dataset)

    def champion_number(self, dataset: str) -> int | None:
        """The number of the version in use, even if its record is unreadable."""
        return self._model(dataset).aliases.get(CHAMPION)

    def in_use_since(self, dataset: str) -> datetime | None:
        """When the champion became that, as far as the history tells (UTC). Unlike `history`, it records nothing."""
        model = self._model(dataset)
        records = _promotions(model, dataset)
        is_told = bool(records) and records[-1].version == model.aliases.get(CHAMPION)
        return records[-1].at if is_told else None

    def contains(self, key: str | None, number: int | None, weights: Ref) -> bool:
        """Whether this is the registry with that key, and has the version with these weights.

        Only a local database is looked up. What a manifest says of a server is believed.
        """
        if key != self.tracking.key or number is None:
            return False
        return not self.tracking.is_local or (number, weights) in [(v.version, v.weights) for v in self.versions()]

    def test_set_uses(self, test: Digest, besides: Ref | None = None) -> int:
        """How many models, besides the one with these weights, were judged on the test images with this digest."""
        return sum(version.test == test and version.weights != besides for version in self.versions())

    def register(self, candidate: Candidate, package: Package, store: Store) -> Version:
        """Log a run with the package, and make its model the challenger.

        The same weights for the same test images are one version, whose first record stands. If that is unreadable,
        the candidate's record takes its place, but a rejection stays.
        """
        with self.tracking.locked(), self.tracking.errors():
            same = (candidate.weights, candidate.test)
            earlier = next((v for v in self.versions(candidate.dataset) if (v.weights, v.test) == same), None)
            if isinstance(earlier, Version):
                return earlier
            if earlier:
                rejection = {"passed": False, "reason": earlier.reason or candidate.reason}
                kept = candidate.model_copy(update=rejection if earlier.passed is False else {})
                self._write_record(earlier.version, kept)
                return self.find(earlier.version, candidate.dataset)
            return self.find(self._create(candidate, package, store), candidate.dataset)

    def _create(self, candidate: Candidate, package: Package, store: Store) -> int:
        """Register a version in MLflow; returns its number."""
        run = log_candidate(self.tracking, candidate, package, store)
        self.tracking.require_lock()  # files take seconds
        client, name = self.tracking.client, _name(candidate.dataset)
        if not self._models(candidate.dataset):
            about = f"Models of the data set {candidate.dataset}. The alias {CHAMPION} names the version in use."
            client.create_registered_model(name, description=about)
        tags = {RECORD: candidate.to_record(), **version_tags(candidate)}
        made = client.create_model_version(name, f"runs:/{run}/model", run, tags=tags, description=describe(candidate))
        client.set_registered_model_alias(name, CHALLENGER, made.version)
        return int(made.version)

    def mark_rejected(self, version: Version, reason: str) -> None:
        """Record that a version, although it passed the gate once, becomes champion only by hand."""
        with self.tracking.locked(), self.tracking.errors():
            self._write_record(version.version, version.model_copy(update={"passed": False, "reason": reason}))

    def mark_withdrawn(self, version: Version, batch: str, reason: str) -> None:
        """Record that a batch from which a version learned was withdrawn, and why. Again changes nothing."""
        with self.tracking.locked(), self.tracking.errors():
            marks = json.dumps(self.find(version.version, version.dataset).withdrawn | {batch: reason})
            name, number = _name(version.dataset), str(version.version)
            self.tracking.client.set_model_version_tag(name, number, WITHDRAWN, marks)

    def _write_record(self, number: int, candidate: Candidate) -> None:
        name, client = _name(candidate.dataset), self.tracking.client
        client.set_model_version_tag(name, str(number), RECORD, candidate.to_record())
        client.set_model_version_tag(name, str(number), "verdict", version_tags(candidate)["verdict"])
        client.update_model_version(name, str(number), describe(candidate))

    def promote(
        self,
        version: Version,
        reason: str,
        expected: int | None,
        *,
        run: str | None = None,
        kind: PromotionKind = "promotion",
    ) -> Promotion:
        """Make `version` champion in place of version `expected`. Raises ChampionChanged if another is champion."""
        with self.tracking.locked(), self.tracking.errors():
            self.observe(version.dataset)
            model = self._model(version.dataset)
            if model.aliases.get(CHAMPION) != expected:
                raise ChampionChanged(f"the champion of {version.dataset} changed meanwhile; run again")
            change = Change(version.dataset, version.version, replaced=expected, kind=kind, reason=reason, run=run)
            self.tracking.require_lock()
            note = self._record(model, change)
            client = self.tracking.client
            if model.aliases.get(CHALLENGER) == version.version:
                client.delete_registered_model_alias(model.name, CHALLENGER)
            client.set_registered_model_alias(model.name, CHAMPION, str(version.version))
        return note

    def retire(self, dataset: str, reason: str) -> Promotion:
        """Take the champion out of use; there is none until the next. Raises UsageError if there is none."""
        with self.tracking.locked(), self.tracking.errors():
            self.observe(dataset)
            model = self._model(dataset)
            if CHAMPION not in model.aliases:
                raise UsageError(f"{dataset} has no champion to retire; see: digitflow models")
            before = model.aliases[CHAMPION]
            note = self._record(model, Change(dataset, None, replaced=before, kind="retired", reason=reason))
            self.tracking.client.delete_registered_model_alias(model.name, CHAMPION)
        return note

    def observe(self, dataset: str) -> None:
        """Record a change of the champion that the history does not tell: made in MLflow, or interrupted."""
        model = self._model(dataset)
        if unrecorded_change(_promotions(model, dataset), model.aliases.get(CHAMPION)) is None:
            return
        with self.tracking.locked(), self.tracking.errors():  # a promotion that is in progress holds the lock
            model = self._model(dataset)
            records, champion = _promotions(model, dataset), model.aliases.get(CHAMPION)
            if change := unrecorded_change(records, champion):
                kind, reason = change
                before = champion if kind == "interrupted" else records[-1].version if records else None
                self._record(model, Change(dataset, champion, replaced=before, kind=kind, reason=reason))

    def _record(self, model: RegisteredModel, change: Change) -> Promotion:
        """Add a change to the history, as of now."""
        note = Promotion(**change._asdict(), at=datetime.now(UTC))
        tag = f"{_PROMOTION}{len(_promotions(model, note.dataset)) + 1:06}"
        self.tracking.client.set_registered_model_tag(model.name, tag, note.model_dump_json(exclude={"took_effect"}))
        return note

    def history(self, dataset: str) -> list[Promotion]:
        """Every change of the champion, the first first; also those in MLflow, from when they were seen."""
        self.observe(dataset)
        model = self._model(dataset)
        return with_effects(_promotions(model, dataset), model.aliases.get(CHAMPION))

    def predecessor(self, dataset: str) -> int:
        """The version that a rollback returns to, of those that learned from no withdrawn batch.

        Raises UsageError if there is none.
        """
        versions = [version for version in self.versions(dataset) if isinstance(version, Version)]
        usable = {version.version for version in versions if not version.withdrawn}
        number = predecessor(self.history(dataset), usable)
        if number is None:
            raise UsageError(f"{dataset} has no earlier champion to return to; see: digitflow models history")
        return number

    def restore(self, version: Version, store: Store) -> bool:
        """Whether the weights of a version are in the store, after fetching MLflow's copy if they were not."""
        if store.holds(version.weights):
            return True
        with contextlib.suppress(ArtifactLost, OSError, self.tracking.exception), store.scratch() as folder:
            path = self.tracking.client.download_artifacts(version.mlflow_run, WEIGHTS, str(folder))
            return store.put_bytes(Path(path).read_bytes(), "weights.h5") == version.weights
        return False

    def _model(self, dataset: str) -> RegisteredModel:
        """The registered model of a data set, empty if there is none."""
        return next(iter(self._models(dataset)), RegisteredModel(_name(dataset), {}, {}, []))

    def _models(self, dataset: str | None) -> list[RegisteredModel]:
        name = None if dataset is None else _name(dataset)
        if self.tracking.is_local:
            with contextlib.suppress(sqlite3.Error):  # MLflow's client updates an older schema, or says what is wrong
                return self.tracking.local.models(name)
        with self.tracking.errors():
            return self.tracking.models(name)


def _readable(version: Version | UnreadableVersion) -> Version:
    """Raises DigitflowError if the record of the version is unreadable."""
    if isinstance(version, Version):
        return version
    if CHAMPION in version.aliases:
        raise DigitflowError(
            f"the champion of {version.dataset} is version {version.version}, whose record is unreadable: "
            f"{version.unreadable}; make another version champion with digitflow models rollback or promote, "
            "or remove its alias in MLflow"
        )
    raise DigitflowError(
        f"the record of version {version.version} of {version.dataset} is unreadable: {version.unreadable}; "
        "choose another version, see: digitflow models"
    )


def _promotions(model: RegisteredModel, dataset: str) -> list[Promotion]:
    """The records of all promotions, the first first. Raises DigitflowError if one is damaged."""
    tags = sorted(tag for tag in model.tags if tag.startswith(_PROMOTION))
    try:
        return [Promotion.model_validate_json(model.tags[tag]) for tag in tags]
    except ValidationError as error:
        what = describe_validation_error(error)
        raise DigitflowError(
            f"the history of {dataset} is damaged: {what}; correct the tags {_PROMOTION}* in MLflow"
        ) from None


def _name(dataset: str) -> str:
    """The name of a data set's registered model, with a digest where MLflow does not take the name as it is."""
    plain = re.sub(r"[^\w. -]", "_", dataset, flags=re.ASCII)[:100]
    digest = "" if plain == dataset else f"-{hashlib.sha256(dataset.encode()).hexdigest()[:8]}"
    return f"{PREFIX}{plain}{digest}"
