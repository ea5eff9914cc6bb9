"""What the registry keeps: candidates, versions and promotions, and how MLflow's tags hold them."""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from pydantic import BaseModel, Field, ValidationError, field_validator

from artifacts.errors import DigitflowError
from artifacts.storage.store import Digest, Ref
from tasks.evaluation.gate import Baseline
from tasks.model.hyperparameters import Hyperparameters
from tasks.pictures.conventions import MNIST, Conventions

if TYPE_CHECKING:
    from artifacts.storage.arrays import Images

CHAMPION, CHALLENGER = "champion", "challenger"
"""Aliases: the version in use, and the latest that was registered."""
PREFIX = "digitflow-"
"""Start of the names of our registered models."""
RECORD, SCHEMA = "mlflow.digitflow.record", 1
"""The tag of a version that holds its `Candidate` as JSON, and the number of that JSON's schema. MLflow's page hides
tags that begin with "mlflow."."""
VISIBLE_RECORD = "digitflow"
"""The tag that holds it where digitflow registered the version before December 2026, unless it was written again."""
WITHDRAWN = "digitflow.withdrawn"
"""The tag of a version that holds, as JSON, why each batch that it learned from was withdrawn, by the batch's name."""
WEIGHTS = "network.weights.h5"
"""The file of a run in MLflow that holds the weights."""

PromotionKind = Literal["promotion", "forced", "rollback", "retired", "outside", "interrupted"]
"""retired: there is no champion until the next. outside: the champion was changed in MLflow, and that was seen.
interrupted: the change before did not take effect, because its process ended."""


class ChampionChanged(DigitflowError):
    """Another run promoted its model first, so this run compared its model with one that is no longer champion."""


class Candidate(BaseModel, frozen=True, populate_by_name=True, serialize_by_alias=True):
    """A trained model and the gate's verdict on it. `test` is the digest of the raw test images."""

    dataset: str
    recipe: str
    seed: int
    accuracy: float
    passed: bool
    reason: str
    run: str
    weights: Ref
    test: Digest
    hyperparameters: Hyperparameters
    image_shape: tuple[int, ...]
    """Height and width, in pixels."""
    classes: int
    baseline: Baseline = Field(alias="opponent")  # the name in the tag
    conventions: Conventions = MNIST
    """How the training images lie. Older records do not say it: MNIST's conventions were taken for granted."""
    class_names: tuple[str, ...] = ()
    """By label; empty where classes are called by their numbers, and in older records."""

    def to_record(self) -> str:
        """The JSON of the tag `RECORD`."""
        fields = self.model_dump(mode="json", include=set(Candidate.model_fields))
        return json.dumps({"schema_version": SCHEMA} | fields, ensure_ascii=False)


class Version(Candidate):
    """A registered candidate. `created` is UTC.

    `withdrawn`: why batches that it learned from were withdrawn since, by the batch's name.
    """

    version: int
    aliases: tuple[str, ...]
    created: datetime
    mlflow_run: str
    withdrawn: dict[str, str] = {}


class UnreadableVersion(BaseModel, frozen=True):
    """A version whose record does not validate. A field is None if the record does not show it either."""

    dataset: str
    version: int
    aliases: tuple[str, ...]
    created: datetime
    mlflow_run: str
    unreadable: str
    """Why."""
    weights: Ref | None = None
    test: Digest | None = None
    passed: bool | None = None
    reason: str | None = None

    @field_validator("weights", "test", "passed", "reason", mode="wrap")
    @classmethod
    def _none_if_invalid(cls, value: Any, validate: Callable[[Any], Any]) -> Any:
        try:
            return validate(value)
        except ValidationError:
            return None


class Change(NamedTuple):
    """What changes of a champion: the version in use from now on, if any, the one before, and why."""

    dataset: str
    version: int | None
    replaced: int | None
    kind: PromotionKind
    reason: str
    run: str | None = None


class Promotion(BaseModel, frozen=True):
    """One change of the champion to `version`, or to none. `at` is UTC, `replaced` the version before, if any.

    Of a change outside, `at` is when it was seen. `took_effect` is False if the process died after it wrote this record
    and before it moved the alias.
    """

    dataset: str
    version: int | None
    replaced: int | None
    kind: PromotionKind
    run: str | None
    reason: str
    at: datetime
    took_effect: bool = True


class LoggedDataset(NamedTuple):
    """Images (n, height, width) that a run read: their name, their use such as "training", and the path or URL."""

    name: str
    context: str
    images: Ref
    source: str


class Package(NamedTuple):
    """What MLflow logs with a candidate: metrics per epoch, one normalised image (1, height, width, 1), and files.

    `metrics` are those of the whole run. `started` is when the run began, by default now. `source` is what ran, and
    `commit` the git commit of its code; "" if it is unknown.
    """

    history: Mapping[str, Sequence[float]]
    example: "Images"
    files: Mapping[str, bytes]
    metrics: Mapping[str, float] = {}
    datasets: Sequence[LoggedDataset] = ()
    started: datetime | None = None
    source: str = "digitflow"
    commit: str = ""


class VersionRow(NamedTuple):
    """A version as MLflow keeps it. `created` is in milliseconds since 1970."""

    version: int
    created: int
    mlflow_run: str | None
    record: str | None
    withdrawn: str | None = None


class RegisteredModel(NamedTuple):
    """A registered model of MLflow, which holds the versions of one data set."""

    name: str
    aliases: Mapping[str, int]
    tags: Mapping[str, str]
    rows: Sequence[VersionRow]

    def versions(self) -> list[Version | UnreadableVersion]:
        return [self._read(row) for row in self.rows]

    def _read(self, row: VersionRow) -> Version | UnreadableVersion:
        place = {
            "version": row.version,
            "aliases": tuple(sorted(alias for alias, version in self.aliases.items() if version == row.version)),
            "created": datetime.fromtimestamp(row.created / 1000, UTC),
            "mlflow_run": row.mlflow_run or "",
        }
        record: dict[str, Any] = {"dataset": self.name.removeprefix(PREFIX)}
        try:
            record |= _parse(row.record)
            return Version.model_validate(record | place | {"withdrawn": json.loads(row.withdrawn or "{}")})
        except ValueError as error:
            shown = {name: record.get(name) for name in UnreadableVersion.model_fields}
            return UnreadableVersion.model_validate(shown | place | {"unreadable": _describe(error)})


def _parse(record: str | None) -> dict[str, Any]:
    """The fields of a record. Raises ValueError. Records without a schema number are of the first schema."""
    if record is None:
        raise ValueError("it was not registered by digitflow")
    fields = json.loads(record)
    if not isinstance(fields, dict) or not isinstance(fields.get("dataset"), str):
        raise ValueError("its record is damaged")
    if fields.get("schema_version", SCHEMA) != SCHEMA:
        raise ValueError(f"its record has schema {fields['schema_version']}, not {SCHEMA}; use a newer digitflow")
    return fields


def _describe(error: ValueError) -> str:
    """The first problem of a record, and how many more there are."""
    if not isinstance(error, ValidationError):
        return str(error)
    first, *others = error.errors(include_url=False)
    more = f" ({len(others)} more)" if others else ""
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}{more}"
