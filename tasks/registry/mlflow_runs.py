"""MLflow as digitflow uses it: one experiment on a server, or in a SQLite database below the home."""

import contextlib
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
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from artifacts.errors import DigitflowError, UsageError
from artifacts.storage.arrays import Images
from artifacts.storage.store import Store, disk_errors

if TYPE_CHECKING:
    import keras
    from mlflow import MlflowClient

    from tasks.experiments.comparison import Row
    from tasks.registry.versions import Candidate

EXPERIMENT = "digitflow"


class Tracking:
    """The MLflow server that MLFLOW_TRACKING_URI names, or the database; only what uses `client` imports MLflow."""

    def __init__(self, home: Path):
        self._home = home
        self.database = home / "mlflow" / "mlflow.db"

    @property
    def uri(self) -> str:
        return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{self.database}"

    @property
    def is_local(self) -> bool:
        return not os.environ.get("MLFLOW_TRACKING_URI")

    @property
    def key(self) -> str:
        """Names the registry in manifests, wherever its home is."""
        return "local" if self.is_local else _without_password(self.uri)

    def query(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """Rows of the local database, which is asked without MLflow. Raises sqlite3.Error."""
        if not self.database.exists():
            return []
        with contextlib.closing(sqlite3.connect(self.database)) as database:
            return database.execute(sql, values).fetchall()

    def open(self) -> None:
        """Import MLflow, and create the database if there is none: seconds that can pass meanwhile."""
        with self.errors():
            _ = self.client

    def log_candidate(
        self,
        candidate: "Candidate",
        history: Mapping[str, Sequence[float]],
        example: Images,
        files: Mapping[str, bytes],
        store: Store,
    ) -> str:
        """Log a run with parameters, metrics per epoch, model and files; returns its id. `example` is one image."""
        from mlflow.entities import Metric, Param

        from tasks.model.forward import load

        run: str = self.client.create_run(self.experiment, run_name=candidate.run).info.run_id
        now = int(datetime.now(UTC).timestamp() * 1000)
        facts = {"dataset": candidate.dataset, "recipe": candidate.recipe, "seed": candidate.seed}
        parameters = facts | candidate.hyperparameters.model_dump(mode="json")
        metrics = [Metric(f"train_{k}", v, now, i) for k, values in history.items() for i, v in enumerate(values, 1)]
        self.client.log_batch(
            run,
            [*metrics, Metric("test_accuracy", candidate.accuracy, now, 0)],
            [Param(name, str(value)) for name, value in parameters.items()],
        )
        with tempfile.TemporaryDirectory() as scratch:
            network = load(candidate.weights, example.shape[1:], candidate.classes, candidate.hyperparameters, store)
            _save(network, example, Path(scratch) / "model", run)
            for name, content in files.items():
                (Path(scratch) / name).write_bytes(content)
            self.client.log_artifacts(run, scratch)
        self.client.set_terminated(run)
        return run

    def log_experiment(self, title: str, rows: "Sequence[Row]", page: bytes) -> None:
        """Log a run with the page, and in it one for each row, with its hyperparameters and its accuracy by seed."""
        with self.locked(), self.errors():
            client = self.client  # sets MLflow's environment, so it comes before the next line

            from mlflow.entities import Metric, Param

            now = int(datetime.now(UTC).timestamp() * 1000)
            parent: str = client.create_run(self.experiment, run_name=title).info.run_id
            for row in rows:
                tags = {"mlflow.parentRunId": parent}
                run = client.create_run(self.experiment, run_name=row.name[:250], tags=tags).info.run_id
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

    @cached_property
    def client(self) -> "MlflowClient":
        """MLflow's own, of a database that exists."""
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
        os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")
        os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
        if self.is_local and "?" in str(self.database):
            raise UsageError(
                f"MLflow cannot keep its database in {self._home}, because of the ?; choose another DIGITFLOW_HOME"
            )
        import mlflow

        logging.getLogger("alembic").setLevel(logging.ERROR)

        client = mlflow.MlflowClient(self.uri, self.uri)
        with self.locked():  # two that create one database would collide
            client.search_registered_models(max_results=1)
            if self.is_local:
                self._follow_move()
        return client

    def _follow_move(self) -> None:
        """Where the home was moved, correct the absolute paths that MLflow keeps of the files of its runs."""
        with contextlib.closing(sqlite3.connect(self.database)) as database, database:
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
        return (self.database.parent / "artifacts").as_uri()

    @cached_property
    def experiment(self) -> str:
        """Its id."""
        found = self.client.get_experiment_by_name(EXPERIMENT)
        if found:
            return str(found.experiment_id)
        return str(self.client.create_experiment(EXPERIMENT, self._files if self.is_local else None))

    @property
    def exception(self) -> type[Exception]:
        """The class of MLflow's errors."""
        from mlflow.exceptions import MlflowException

        return MlflowException

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """One writer at a time on this machine; nested use is one."""
        with disk_errors(self._home):
            self.database.parent.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()
        try:
            yield
        finally:
            self._lock.release()

    @cached_property
    def _lock(self) -> FileLock:
        return FileLock(self.database.parent / "writing.lock")

    @contextlib.contextmanager
    def errors(self) -> Iterator[None]:
        """Inside, what MLflow or its database raises becomes a DigitflowError."""
        from sqlalchemy.exc import SQLAlchemyError

        try:
            yield
        except DigitflowError:
            raise
        except (self.exception, SQLAlchemyError, ImportError) as error:
            what = _without_password((str(error).strip() or type(error).__name__).splitlines()[0])
            raise DigitflowError(
                f"the model registry {self.key} cannot be used: {what}; no champion was changed, run again when it can"
            ) from error


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
