"""Which models there are, which is champion and how it became so: a thin layer over MLflow's tracking and registry."""

import contextlib
import hashlib
import logging
import os
import re
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from importlib.metadata import version as installed
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from filelock import FileLock
from pydantic import BaseModel, ConfigDict, ValidationError

from artifacts.arrays import Images
from artifacts.errors import ArtifactLost, DigitflowError, UsageError
from artifacts.hyperparameters import Hyperparameters, explain
from artifacts.results import Opponent
from artifacts.store import Digest, Ref, Store, disk_errors

if TYPE_CHECKING:
    import keras
    from mlflow import MlflowClient

    from artifacts.comparison import Row

CHAMPION, CHALLENGER = "champion", "challenger"
EXPERIMENT = "digitflow"
WEIGHTS = "network.weights.h5"

Kind = Literal["promotion", "forced", "rollback"]

_PREFIX = "digitflow-"
_FACTS, _ENTRY = "digitflow", "promotion."
"""Tag of a version that holds its `Candidate`, and start of the tags of a model that hold its `Promotion`s."""


class ChampionChanged(DigitflowError):
    """Another promotion came first, so the evidence is about a model that is no longer champion."""


class Candidate(BaseModel):
    """A trained model and what its run found. `test` is the digest of the raw test images."""

    model_config = ConfigDict(frozen=True)

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
    """Height and width."""
    classes: int
    opponent: Opponent


class Version(Candidate):
    """A registered candidate. `created` is UTC."""

    version: int
    aliases: tuple[str, ...]
    created: datetime
    mlflow_run: str


class Promotion(BaseModel):
    """One change of the champion. `at` is UTC, `replaced` the version before, if any.

    It took effect unless something came between its note and the change itself, or the alias was moved elsewhere.
    """

    model_config = ConfigDict(frozen=True)

    dataset: str
    version: int
    replaced: int | None
    kind: Kind
    run: str | None
    reason: str
    at: datetime
    took_effect: bool = True


class Registry:
    """The models of one MLflow server, or of the SQLite database under `home`; a registered model per data set.

    The alias `champion` says which version is in use. Changing it is one transaction, the last of a promotion;
    why it changes is noted before. Raises DigitflowError where MLflow cannot be reached or written.
    """

    def __init__(self, home: Path):
        self._home = home
        self._database = home / "mlflow" / "mlflow.db"

    @property
    def uri(self) -> str:
        return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{self._database}"

    @property
    def is_local(self) -> bool:
        return not os.environ.get("MLFLOW_TRACKING_URI")

    def remembers(self, key: str | None, version: int | None, weights: Ref) -> bool:
        """Whether this is the registry of that `key`, and has that version. Without importing MLflow: what is in the
        database is looked up there, what is on a server is taken on trust.
        """
        if key != self.key or version is None or not self.is_local:
            return key == self.key and version is not None
        query = (
            "SELECT 1 FROM model_version_tags JOIN model_versions USING (name, version) WHERE version = ? "
            "AND current_stage != 'Deleted_Internal' AND key = ? AND instr(value, ?)"
        )
        if not self._database.exists():
            return False
        with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(self._database)) as database:
            return database.execute(query, (version, _FACTS, weights.sha256)).fetchone() is not None
        return False

    def in_use(self, dataset: str | None = None, number: int | None = None) -> Version:
        """The champion, or the version with that `number`, without importing MLflow where that can be.

        Raises UsageError if there is none, or if several data sets have one and `dataset` does not say which.
        """
        found = self._found(dataset, number)
        what = "champion" if number is None else f"version {number}"
        if len(found) > 1:
            names = ", ".join(sorted(version.dataset for version in found))
            raise UsageError(f"several data sets have a {what}: {names}; add --dataset")
        if not found:
            of = f" of {dataset}" if dataset else ""
            raise UsageError(f"there is no {what}{of}; train one first, or see: digitflow models")
        return found[0]

    def champion_in_use(self, dataset: str) -> Version | None:
        """The champion, without importing MLflow where that can be."""
        return next(iter(self._found(dataset, None)), None)

    def _found(self, dataset: str | None, number: int | None) -> list[Version]:
        if self.is_local:
            with contextlib.suppress(sqlite3.Error, ValidationError):  # else a schema that MLflow will know
                return self._looked_up(dataset, number)
        return self._asked_for(dataset, number)

    def _asked_for(self, dataset: str | None, number: int | None) -> list[Version]:
        versions = self.versions(dataset)
        return [v for v in versions if (CHAMPION in v.aliases if number is None else v.version == number)]

    def _looked_up(self, dataset: str | None, number: int | None) -> list[Version]:
        if not self._database.exists():
            return []
        query = (
            "SELECT value, version, (SELECT group_concat(alias) FROM registered_model_aliases AS a "
            "WHERE a.name = v.name AND a.version = v.version) AS aliases, creation_time, run_id "
            "FROM model_versions AS v JOIN model_version_tags USING (name, version) "
            "WHERE key = ? AND current_stage != 'Deleted_Internal' AND (? IS NULL OR name = ?) AND "
            "CASE WHEN ? IS NULL THEN instr(',' || aliases || ',', ?) ELSE version = ? END"
        )
        name = dataset and _model(dataset)
        with contextlib.closing(sqlite3.connect(self._database)) as database:
            rows = database.execute(query, (_FACTS, name, name, number, f",{CHAMPION},", number)).fetchall()
        return [_version(facts, made, (aliases or "").split(","), *rest) for facts, made, aliases, *rest in rows]

    @property
    def key(self) -> str:
        """Names the registry in manifests, wherever its home is."""
        return "local" if self.is_local else _without_password(self.uri)

    def open(self) -> None:
        """Import MLflow, and create the database if there is none: seconds that can pass meanwhile."""
        with self._errors():
            _ = self._client

    def versions(self, dataset: str | None = None) -> list[Version]:
        """All versions, of one data set or of all, the latest first."""
        with self._errors():
            found = [version for model in self._models(dataset) for version in self._of(model)]
        return sorted(found, key=lambda version: version.created, reverse=True)

    def find(self, number: int, dataset: str | None = None) -> Version:
        """Raises UsageError if there is no such version, or if several data sets have one."""
        matches = [version for version in self.versions(dataset) if version.version == number]
        if len(matches) > 1:
            names = ", ".join(version.dataset for version in matches)
            raise UsageError(f"several data sets have a version {number}: {names}; add --dataset")
        if not matches:
            raise UsageError(f"there is no version {number}; see: digitflow models")
        return matches[0]

    def champion(self, dataset: str) -> Version | None:
        with self._errors():
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
        with self._locked(), self._errors():
            if version := self.registered(candidate.dataset, candidate.weights, candidate.test):
                return version
            run = self._log(candidate, history, example, files, store)
            name = _model(candidate.dataset)
            if not list(self._models(candidate.dataset)):
                self._client.create_registered_model(name)
            tags = {
                _FACTS: candidate.model_dump_json(),
                "accuracy": str(candidate.accuracy),
                "recipe": candidate.recipe,
            }
            made = self._client.create_model_version(
                name, f"runs:/{run}/model", run, tags=tags, description=candidate.reason
            )
            self._client.set_registered_model_alias(name, CHALLENGER, made.version)
        return self.find(int(made.version), candidate.dataset)

    def log_experiment(self, title: str, rows: "Sequence[Row]", page: bytes) -> None:
        """Log a run with the page, and in it one for each row, with its hyperparameters and its accuracy by seed."""
        with self._locked(), self._errors():
            client = self._client  # sets MLflow's environment, so it comes before the next line

            from mlflow.entities import Metric, Param

            now = int(datetime.now(UTC).timestamp() * 1000)
            parent: str = client.create_run(self._experiment, run_name=title).info.run_id
            for row in rows:
                tags = {"mlflow.parentRunId": parent}
                run = client.create_run(self._experiment, run_name=row.name[:250], tags=tags).info.run_id
                params = [Param(k, str(v)) for k, v in row.hyperparameters.model_dump(mode="json").items()]
                metrics = [
                    Metric(name, value, now, seed)
                    for seed, tried in row.trials.items()
                    for name, value in (("validation_accuracy", tried.accuracy), ("fit_seconds", tried.seconds))
                    if value is not None
                ]
                client.log_batch(run, metrics, params)
                client.set_terminated(run, "FAILED" if row.failure else None)
            with tempfile.TemporaryDirectory() as scratch:
                (Path(scratch) / "report.html").write_bytes(page)
                client.log_artifacts(parent, scratch)
            client.set_terminated(parent)

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
        with self._locked(), self._errors():
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
            self._client.set_registered_model_tag(name, tag, entry.model_dump_json(exclude={"took_effect"}))
            if self._client.get_registered_model(name).aliases.get(CHALLENGER) in (
                version.version,
                str(version.version),
            ):
                self._client.delete_registered_model_alias(name, CHALLENGER)
            self._client.set_registered_model_alias(name, CHAMPION, str(version.version))
        return entry

    def history(self, dataset: str) -> list[Promotion]:
        """Every change of the champion, the first first."""
        with self._errors():
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
        with contextlib.suppress(ArtifactLost, OSError, self._exception), store.scratch() as folder:
            path = self._client.download_artifacts(version.mlflow_run, WEIGHTS, str(folder))
            return store.put_bytes(Path(path).read_bytes(), "weights.h5") == version.weights
        return False

    def _of(self, model: Any) -> Iterator[Version]:
        for made in self._client.search_model_versions(f"name='{model.name}'", max_results=10_000):
            with contextlib.suppress(ValidationError, KeyError):  # registered by other means
                aliases = [alias for alias, number in model.aliases.items() if str(number) == str(made.version)]
                yield _version(made.tags[_FACTS], made.version, aliases, made.creation_timestamp, made.run_id)

    def _models(self, dataset: str | None) -> Iterator[Any]:
        if dataset is not None:
            try:
                yield self._client.get_registered_model(_model(dataset))
            except self._exception as error:
                if getattr(error, "error_code", "") != "RESOURCE_DOES_NOT_EXIST":
                    raise
            return
        token = None
        while True:
            page = self._client.search_registered_models(page_token=token)
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
            raise DigitflowError(
                f"the history of {dataset} is damaged: {explain(error)}; correct the tags {_ENTRY}* in MLflow"
            ) from None

    def _log(
        self,
        candidate: Candidate,
        history: Mapping[str, Sequence[float]],
        example: Images,
        files: Mapping[str, bytes],
        store: Store,
    ) -> str:
        from mlflow.entities import Metric, Param

        from artifacts.prediction import load

        run: str = self._client.create_run(self._experiment, run_name=candidate.run).info.run_id
        now = int(datetime.now(UTC).timestamp() * 1000)
        facts = {"dataset": candidate.dataset, "recipe": candidate.recipe, "seed": candidate.seed}
        parameters = facts | candidate.hyperparameters.model_dump(mode="json")
        metrics = [Metric(f"train_{k}", v, now, i) for k, values in history.items() for i, v in enumerate(values, 1)]
        self._client.log_batch(
            run,
            [*metrics, Metric("test_accuracy", candidate.accuracy, now, 0)],
            [Param(name, str(value)) for name, value in parameters.items()],
        )
        with tempfile.TemporaryDirectory() as scratch:
            network = load(candidate.weights, example.shape[1:], candidate.classes, candidate.hyperparameters, store)
            _save(network, example, Path(scratch) / "model", run)
            for name, content in files.items():
                (Path(scratch) / name).write_bytes(content)
            self._client.log_artifacts(run, scratch)
        self._client.set_terminated(run)
        return run

    @cached_property
    def _client(self) -> "MlflowClient":
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
        os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")
        os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
        if self.is_local and "?" in str(self._database):
            raise UsageError(
                f"MLflow cannot keep its database in {self._home}, because of the ?; choose another DIGITFLOW_HOME"
            )
        import mlflow

        logging.getLogger("alembic").setLevel(logging.ERROR)

        client = mlflow.MlflowClient(self.uri, self.uri)
        with self._locked():  # two that create one database would collide
            client.search_registered_models(max_results=1)
            if self.is_local:
                self._follow_move()
        return client

    def _follow_move(self) -> None:
        """Where the home was moved, correct the absolute paths that MLflow keeps of the files of its runs."""
        with contextlib.closing(sqlite3.connect(self._database)) as database, database:
            query = "SELECT artifact_location FROM experiments WHERE name = ?"
            for (before,) in database.execute(query, (EXPERIMENT,)).fetchall():
                if before != self._files:
                    database.execute(
                        "UPDATE experiments SET artifact_location = ? WHERE name = ?", (self._files, EXPERIMENT)
                    )
                    database.execute(
                        "UPDATE runs SET artifact_uri = replace(artifact_uri, ?, ?)", (before, self._files)
                    )

    @property
    def _files(self) -> str:
        return (self._database.parent / "artifacts").as_uri()

    @cached_property
    def _experiment(self) -> str:
        found = self._client.get_experiment_by_name(EXPERIMENT)
        if found:
            return str(found.experiment_id)
        return str(self._client.create_experiment(EXPERIMENT, self._files if self.is_local else None))

    @property
    def _exception(self) -> type[Exception]:
        from mlflow.exceptions import MlflowException

        return MlflowException

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """One writer at a time on this machine; nested use is one."""
        with disk_errors(self._home):
            self._database.parent.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()
        try:
            yield
        finally:
            self._lock.release()

    @cached_property
    def _lock(self) -> FileLock:
        return FileLock(self._database.parent / "writing.lock")

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        from sqlalchemy.exc import SQLAlchemyError

        try:
            yield
        except DigitflowError:
            raise
        except (self._exception, SQLAlchemyError, ImportError) as error:
            what = _without_password((str(error).strip() or type(error).__name__).splitlines()[0])
            raise DigitflowError(
                f"the model registry {self.key} cannot be used: {what}; no champion was changed, run again when it can"
            ) from error


def _version(facts: str, number: int | str, aliases: Sequence[str], milliseconds: int, run: str | None) -> Version:
    return Version(
        **Candidate.model_validate_json(facts).model_dump(),
        version=int(number),
        aliases=tuple(sorted(filter(None, aliases))),
        created=datetime.fromtimestamp(milliseconds / 1000, UTC),
        mlflow_run=run or "",
    )


def _save(network: "keras.Model", example: Images, path: Path, run: str) -> None:
    """Save a network as an MLflow model with signature and input example."""
    import mlflow.keras
    from mlflow.models import Model, infer_signature

    path.mkdir()  # MLflow writes the example before it makes the folder
    mlflow.keras.save_model(
        network,
        str(path),
        mlflow_model=Model(artifact_path="model", run_id=run),
        signature=infer_signature(example, network.predict_on_batch(example)),
        input_example=example,
        pip_requirements=[f"{name}=={installed(name)}" for name in ("keras", "tensorflow", "numpy")],
        metadata={"input": "float32 pixels in [-0.5, 0.5], from uint8 by x / 255 - 0.5"},
    )


def _without_password(text: str) -> str:
    return re.sub(r"//[^/@\s]*@", "//", text)


def _model(dataset: str) -> str:
    """The registered model of a data set: its name, and a digest where that has letters that MLflow would not take."""
    plain = re.sub(r"[^\w. -]", "_", dataset, flags=re.ASCII)[:100]
    digest = "" if plain == dataset else f"-{hashlib.sha256(dataset.encode()).hexdigest()[:8]}"
    return f"{_PREFIX}{plain}{digest}"
