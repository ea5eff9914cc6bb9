"""Which models there are, which is champion and how it became so: a thin layer over MLflow's model registry."""

import contextlib
import hashlib
import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from artifacts.errors import ArtifactLost, DigitflowError, UsageError, describe_validation_error
from artifacts.storage.arrays import Images
from artifacts.storage.store import Digest, Ref, Store
from tasks.registry.mlflow_runs import Tracking
from tasks.registry.versions import Candidate, ChampionChanged, Kind, Promotion, Version

CHAMPION, CHALLENGER = "champion", "challenger"
WEIGHTS = "network.weights.h5"

_PREFIX = "digitflow-"
_FACTS, _ENTRY = "digitflow", "promotion."
"""Tag of a version that holds its `Candidate`, and start of the tags of a model that hold its `Promotion`s."""


class Registry:
    """The models of one MLflow server, or of the SQLite database under `home`; a registered model per data set.

    The alias `champion` says which version is in use. Changing it is one transaction, the last of a promotion;
    why it changes is noted before. Raises DigitflowError where MLflow cannot be reached or written.
    """

    def __init__(self, home: Path):
        self.tracking = Tracking(home)

    def remembers(self, key: str | None, version: int | None, weights: Ref) -> bool:
        """Whether this is the registry of that `key`, and has that version. Without importing MLflow: what is in the
        database is looked up there, what is on a server is taken on trust.
        """
        if key != self.tracking.key or version is None or not self.tracking.is_local:
            return key == self.tracking.key and version is not None
        query = (
            "SELECT 1 FROM model_version_tags JOIN model_versions USING (name, version) WHERE version = ? "
            "AND current_stage != 'Deleted_Internal' AND key = ? AND instr(value, ?)"
        )
        with contextlib.suppress(sqlite3.Error):
            return bool(self.tracking.query(query, version, _FACTS, weights.sha256))
        return False

    def find(self, number: int | None = None, dataset: str | None = None) -> Version:
        """The version with that number, or the champion, without importing MLflow where that can be.

        Raises UsageError if there is none, or if several data sets have one and `dataset` does not say which.
        """
        found = self._found(dataset, number)
        what = "champion" if number is None else f"version {number}"
        if len(found) > 1:
            names = ", ".join(sorted(version.dataset for version in found))
            raise UsageError(f"several data sets have a {what}: {names}; add --dataset (in Python: dataset=…)")
        if not found:
            of = f" of {dataset}" if dataset else ""
            raise UsageError(f"there is no {what}{of}; train one first, or see: digitflow models")
        return found[0]

    def champion_in_use(self, dataset: str) -> Version | None:
        """The champion, without importing MLflow where that can be."""
        return next(iter(self._found(dataset, None)), None)

    def _found(self, dataset: str | None, number: int | None) -> list[Version]:
        if self.tracking.is_local:
            # else the schema is one that MLflow will know, or the number one that SQLite does not
            with contextlib.suppress(sqlite3.Error, ValidationError, OverflowError):
                return self._looked_up(dataset, number)
        return self._asked_for(dataset, number)

    def _asked_for(self, dataset: str | None, number: int | None) -> list[Version]:
        versions = self.versions(dataset)
        return [v for v in versions if (CHAMPION in v.aliases if number is None else v.version == number)]

    def _looked_up(self, dataset: str | None, number: int | None) -> list[Version]:
        query = (
            "SELECT value, version, (SELECT group_concat(alias) FROM registered_model_aliases AS a "
            "WHERE a.name = v.name AND a.version = v.version) AS aliases, creation_time, run_id "
            "FROM model_versions AS v JOIN model_version_tags USING (name, version) "
            "WHERE key = ? AND current_stage != 'Deleted_Internal' AND (? IS NULL OR name = ?) AND "
            "CASE WHEN ? IS NULL THEN instr(',' || aliases || ',', ?) ELSE version = ? END"
        )
        name = dataset and _model(dataset)
        rows = self.tracking.query(query, _FACTS, name, name, number, f",{CHAMPION},", number)
        return [_version(facts, made, (aliases or "").split(","), *rest) for facts, made, aliases, *rest in rows]

    def versions(self, dataset: str | None = None) -> list[Version]:
        """All versions, of one data set or of all, the latest first."""
        with self.tracking.errors():
            found = [version for model in self._models(dataset) for version in self._of(model)]
        return sorted(found, key=lambda version: version.created, reverse=True)

    def champion(self, dataset: str) -> Version | None:
        with self.tracking.errors():
            number = self._champion_number(dataset)
        if number is None:
            return None
        found = next((version for version in self.versions(dataset) if version.version == number), None)
        if found is None:
            raise DigitflowError(
                f"the champion of {dataset} is version {number}, whose record is unreadable; promote another by hand, "
                "or remove its alias in MLflow"
            )
        return found

    def registered(self, dataset: str, weights: Ref, test: Digest) -> Version | None:
        """The version with these weights that was judged on these test images."""
        return next((v for v in self.versions(dataset) if (v.weights, v.test) == (weights, test)), None)

    def decisions(self, test: Digest, besides: Ref | None = None) -> int:
        """The ledger: how many candidates, besides these weights, the test images with this digest have judged."""
        return sum(version.test == test and version.weights != besides for version in self.versions())

    def register(
        self,
        candidate: Candidate,
        history: Mapping[str, Sequence[float]],
        example: Images,
        files: Mapping[str, bytes],
        store: Store,
    ) -> Version:
        """Log a run with its parameters, metrics per epoch, model and files, and make the model the challenger.

        `example` is one normalised image (1, height, width, 1), `files` must have the weights as WEIGHTS. The same
        weights for the same test images are one version, whose first record stands.
        """
        with self.tracking.locked(), self.tracking.errors():
            if version := self.registered(candidate.dataset, candidate.weights, candidate.test):
                return version
            run = self.tracking.log_candidate(candidate, history, example, files, store)
            name = _model(candidate.dataset)
            if not list(self._models(candidate.dataset)):
                self.tracking.client.create_registered_model(name)
            tags = {
                _FACTS: candidate.model_dump_json(),
                "accuracy": str(candidate.accuracy),
                "recipe": candidate.recipe,
            }
            made = self.tracking.client.create_model_version(
                name, f"runs:/{run}/model", run, tags=tags, description=candidate.reason
            )
            self.tracking.client.set_registered_model_alias(name, CHALLENGER, made.version)
        return self.find(int(made.version), candidate.dataset)

    def refuse(self, version: Version, reason: str) -> None:
        """Note that a version, although it passed the gate once, does not become champion by itself."""
        facts = Candidate.model_validate(version.model_dump(include=set(Candidate.model_fields)))
        told = facts.model_copy(update={"passed": False, "reason": reason}).model_dump_json()
        with self.tracking.locked(), self.tracking.errors():
            self.tracking.client.set_model_version_tag(_model(version.dataset), str(version.version), _FACTS, told)

    def promote(
        self,
        version: Version,
        reason: str,
        expected: int | None,
        run: str | None = None,
        kind: Kind = "promotion",
    ) -> Promotion:
        """Make `version` champion in place of version `expected`. Raises ChampionChanged if another is champion."""
        name = _model(version.dataset)
        with self.tracking.locked(), self.tracking.errors():
            if self._champion_number(version.dataset) != expected:
                raise ChampionChanged(f"the champion of {version.dataset} changed meanwhile; run again")
            entry = Promotion(
                dataset=version.dataset,
                version=version.version,
                replaced=expected,
                kind=kind,
                run=run,
                reason=reason[:2000],
                at=datetime.now(UTC),
            )
            tag = f"{_ENTRY}{len(self._noted(version.dataset)) + 1:06}"
            self.tracking.client.set_registered_model_tag(name, tag, entry.model_dump_json(exclude={"took_effect"}))
            if self.tracking.client.get_registered_model(name).aliases.get(CHALLENGER) in (
                version.version,
                str(version.version),
            ):
                self.tracking.client.delete_registered_model_alias(name, CHALLENGER)
            self.tracking.client.set_registered_model_alias(name, CHAMPION, str(version.version))
        return entry

    def history(self, dataset: str) -> list[Promotion]:
        """Every change of the champion, the first first."""
        with self.tracking.errors():
            noted, champion = self._noted(dataset), self._champion_number(dataset)
        after = [entry.replaced for entry in noted[1:]] + [champion]
        return [
            entry.model_copy(update={"took_effect": follows in (entry.version, None) and follows != entry.replaced})
            for entry, follows in zip(noted, after, strict=False)
        ]

    def predecessor(self, dataset: str) -> int:
        """The version that a rollback returns to. Raises UsageError if there is none."""
        line: list[int] = []
        for entry in self.history(dataset):
            if entry.took_effect and entry.version in line and entry.kind == "rollback":
                del line[line.index(entry.version) + 1 :]
            elif entry.took_effect:
                line.append(entry.version)
        if len(line) < 2:
            raise UsageError(f"{dataset} has no earlier champion to return to; see: digitflow models history")
        return line[-2]

    def restore(self, version: Version, store: Store) -> bool:
        """Whether the weights of a version are in the store, if need be from the copy that MLflow keeps."""
        if store.holds(version.weights):
            return True
        with contextlib.suppress(ArtifactLost, OSError, self.tracking.exception), store.scratch() as folder:
            path = self.tracking.client.download_artifacts(version.mlflow_run, WEIGHTS, str(folder))
            return store.put_bytes(Path(path).read_bytes(), "weights.h5") == version.weights
        return False

    def _of(self, model: Any) -> Iterator[Version]:
        for made in self.tracking.client.search_model_versions(f"name='{model.name}'", max_results=10_000):
            with contextlib.suppress(ValidationError, KeyError):  # registered by other means
                aliases = [alias for alias, number in model.aliases.items() if str(number) == str(made.version)]
                yield _version(made.tags[_FACTS], made.version, aliases, made.creation_timestamp, made.run_id)

    def _models(self, dataset: str | None) -> Iterator[Any]:
        if dataset is not None:
            try:
                yield self.tracking.client.get_registered_model(_model(dataset))
            except self.tracking.exception as error:
                if getattr(error, "error_code", "") != "RESOURCE_DOES_NOT_EXIST":
                    raise
            return
        token = None
        while True:
            page = self.tracking.client.search_registered_models(page_token=token)
            yield from (model for model in page if model.name.startswith(_PREFIX))
            token = page.token
            if not token:
                return

    def _champion_number(self, dataset: str) -> int | None:
        number = next((model.aliases.get(CHAMPION) for model in self._models(dataset)), None)
        return None if number is None else int(number)

    def _noted(self, dataset: str) -> list[Promotion]:
        tags: dict[str, str] = next((model.tags for model in self._models(dataset)), {})
        try:
            return [Promotion.model_validate_json(tags[tag]) for tag in sorted(tags) if tag.startswith(_ENTRY)]
        except ValidationError as error:
            what = describe_validation_error(error)
            raise DigitflowError(
                f"the history of {dataset} is damaged: {what}; correct the tags {_ENTRY}* in MLflow"
            ) from None


def _version(facts: str, number: int | str, aliases: Sequence[str], milliseconds: int, run: str | None) -> Version:
    return Version(
        **Candidate.model_validate_json(facts).model_dump(),
        version=int(number),
        aliases=tuple(sorted(filter(None, aliases))),
        created=datetime.fromtimestamp(milliseconds / 1000, UTC),
        mlflow_run=run or "",
    )


def _model(dataset: str) -> str:
    """The registered model of a data set: its name, and a digest where that has letters that MLflow would not take."""
    plain = re.sub(r"[^\w. -]", "_", dataset, flags=re.ASCII)[:100]
    digest = "" if plain == dataset else f"-{hashlib.sha256(dataset.encode()).hexdigest()[:8]}"
    return f"{_PREFIX}{plain}{digest}"
