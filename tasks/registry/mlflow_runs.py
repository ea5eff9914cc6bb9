"""MLflow as digitflow uses it: its client and its errors, and the runs that are logged in one experiment."""

import contextlib
import logging
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any, NamedTuple

from artifacts.errors import DigitflowError, UsageError, hide_passwords
from artifacts.lineage.environment import versions
from artifacts.storage.database_template import DatabaseTemplate
from artifacts.storage.home import MLFLOW, locked
from artifacts.storage.leases import leased, require_lease
from artifacts.storage.settings import Settings
from artifacts.storage.store import Store
from tasks.registry.local_reads import LocalDatabase
from tasks.registry.portable_code import write_package
from tasks.registry.run_tags import ABOUT, KIND, NOTE, dataset_inputs, run_tags, source_tags
from tasks.registry.versions import (
    PREFIX,
    RECORD,
    VISIBLE_RECORD,
    WEIGHTS,
    WITHDRAWN,
    Candidate,
    Package,
    RegisteredModel,
    VersionRow,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import RegisteredModel as MlflowModel

    from artifacts.storage.arrays import Images

EXPERIMENT = "digitflow"
LOGGED_WITH = ("keras", "tensorflow", "numpy", "scipy", "pillow", "pydantic", "jaxtyping")
"""The libraries that a logged model needs."""
MLFLOW_TEMPLATE = DatabaseTemplate("mlflow", "mlflow-skinny", "store/db_migrations/versions")


class LoggedVariant(NamedTuple):
    """A variant of an experiment: what MLflow shows as parameters, its metrics by seed, and why it failed, if it did.

    A metric may lack seeds, whose trials were not finished. `weights` is how many trained parameters the network has.
    """

    name: str
    parameters: Mapping[str, Any]
    metrics: Mapping[str, Mapping[int, float]]
    weights: int
    failure: str = ""


class Tracking:
    """MLflow's client: of the server that MLFLOW_TRACKING_URI names, else of the database below the home.

    Only what uses `client` imports MLflow.
    """

    def __init__(self, home: Path):
        self._home = home
        self.local = LocalDatabase(home / MLFLOW / "mlflow.db")
        scheme = self.uri.partition(":")[0].partition("+")[0]
        if scheme not in _SCHEMES:
            raise UsageError(
                f"MLFLOW_TRACKING_URI is {hide_passwords(self.uri)!r}; give the address of a server or a database, "
                f"which begins with one of {', '.join(f'{name}:' for name in _SCHEMES)}, or unset it"
            )

    @property
    def uri(self) -> str:
        return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{self.local.path}"

    @property
    def is_local(self) -> bool:
        return not os.environ.get("MLFLOW_TRACKING_URI")

    @property
    def key(self) -> str:
        """The registry's name in manifests: a local one has the same name wherever its home is."""
        return "local" if self.is_local else hide_passwords(self.uri)

    def open(self) -> None:
        """Import MLflow, and create the database if there is none: that takes seconds."""
        with self.errors():
            _ = self.experiment

    def models(self, name: str | None = None) -> list[RegisteredModel]:
        """The registered model of that name, or all of ours, as the client reads them."""
        where, token = f"name LIKE '{PREFIX}%'" if name is None else f"name = '{name}'", None
        models: list[RegisteredModel] = []
        while True:
            page = self.client.search_registered_models(where, page_token=token)
            models += [self._read(model) for model in page]
            token = page.token
            if not token:
                return models

    def _read(self, model: "MlflowModel") -> RegisteredModel:
        versions = self.client.search_model_versions(f"name = '{model.name}'", max_results=10_000)
        rows = [
            VersionRow(
                int(v.version),
                v.creation_timestamp,
                v.run_id,
                v.tags.get(RECORD, v.tags.get(VISIBLE_RECORD)),
                v.tags.get(WITHDRAWN),
            )
            for v in versions
        ]
        aliases = {alias: int(version) for alias, version in model.aliases.items()}
        return RegisteredModel(model.name, aliases, model.tags, rows)

    def log_candidate(self, candidate: Candidate, package: Package, store: Store) -> str:
        """Log a run with parameters, metrics, data sets, tags, model, weights and files; returns its id."""
        now = _milliseconds()
        started = int(package.started.timestamp() * 1000) if package.started else now
        run: str = self.client.create_run(self.experiment, started, run_name=candidate.run).info.run_id

        from mlflow.entities import Metric, Param, RunTag  # after the client has set MLflow's environment

        parameters = candidate.model_dump(mode="json", include={"dataset", "recipe", "seed"})
        parameters |= candidate.hyperparameters.model_dump(mode="json")
        metrics = [
            Metric(f"train_{name}", value, now, epoch)
            for name, values in package.history.items()
            for epoch, value in enumerate(values, 1)
        ]
        totals = {"test_accuracy": candidate.accuracy, **package.metrics}
        self.client.log_batch(
            run,
            [*metrics, *(Metric(name, value, now, 0) for name, value in totals.items())],
            [Param(name, str(value)) for name, value in parameters.items()],
            [RunTag(name, value) for name, value in run_tags(candidate, package, run).items()],
        )
        if package.datasets:
            self.client.log_inputs(run, dataset_inputs(package.datasets))
        with tempfile.TemporaryDirectory() as folder:
            _write_files(candidate, package, store, folder=Path(folder), run=run)
            self.client.log_artifacts(run, folder)
        self.client.set_terminated(run)
        return run

    def log_experiment(
        self, title: str, variants: Sequence[LoggedVariant], page: bytes, *, source: str = "digitflow", about: str = ""
    ) -> None:
        """Log a run with the HTML page, and below it a run for each variant.

        `source` is what ran, `about` a description in Markdown.
        """
        with self.locked(), self.errors():
            tags = {NOTE: about, **source_tags(source)}
            parent: str = self.client.create_run(self.experiment, tags=tags, run_name=title).info.run_id
            for variant in variants:
                self._log_variant(variant, parent)
            with tempfile.TemporaryDirectory() as folder:
                (Path(folder) / "report.html").write_bytes(page)
                self.client.log_artifacts(parent, folder)
            self.client.set_terminated(parent)

    def _log_variant(self, variant: LoggedVariant, parent: str) -> None:
        from mlflow.entities import Metric, Param

        now, seeds = _milliseconds(), sorted({seed for values in variant.metrics.values() for seed in values})
        what = f"Means over {len(seeds)} seeds ({', '.join(map(str, seeds))})" if len(seeds) > 1 else "One seed"
        about = f"{what}. The step of a metric that ends in `_by_seed` is the seed."
        tags = {"mlflow.parentRunId": parent, NOTE: f"Failed: {variant.failure}" if variant.failure else about}
        run = self.client.create_run(self.experiment, run_name=variant.name[:250], tags=tags).info.run_id
        metrics = [
            Metric(f"{name}_by_seed", value, now, seed)
            for name, values in variant.metrics.items()
            for seed, value in values.items()
        ]
        if not variant.failure:
            metrics += [Metric(f"{name}_mean", fmean(of.values()), now, 0) for name, of in variant.metrics.items()]
            metrics.append(Metric("parameters", variant.weights, now, 0))
        self.client.log_batch(run, metrics, [Param(k, str(v)) for k, v in variant.parameters.items()])
        self.client.set_terminated(run, "FAILED" if variant.failure else None)

    @cached_property
    def client(self) -> "MlflowClient":
        """MLflow's own client. A local database is created first if there is none."""
        for name, value in ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        if self.is_local and "?" in str(self.local.path):
            raise UsageError(
                f"MLflow cannot keep its database in {self._home}, because of the ?; choose another DIGITFLOW_HOME"
            )
        import mlflow

        logging.getLogger("alembic").setLevel(logging.ERROR)

        with self.locked():  # two processes that create one database would collide
            if self.is_local:
                MLFLOW_TEMPLATE.copy_to(self.local.path)
            client = mlflow.MlflowClient(self.uri, self.uri)
            client.search_registered_models(max_results=1)
            if self.is_local:
                self.local.move_files(EXPERIMENT, self._files)
        return client

    @property
    def _files(self) -> str:
        return (self.local.path.parent / "artifacts").as_uri()

    @cached_property
    def experiment(self) -> str:
        """The id of our experiment, which is created if there is none. Raises UsageError if somebody deleted it.

        A server chooses where its files are. For a database they are below the home, not in the current folder.
        """
        experiment = self.client.get_experiment_by_name(EXPERIMENT)
        if experiment and experiment.lifecycle_stage == "deleted":
            address, number = hide_passwords(self.uri), experiment.experiment_id
            raise UsageError(
                f"the experiment {EXPERIMENT} is deleted in MLflow; restore it: "
                f"MLFLOW_TRACKING_URI={address} mlflow experiments restore --experiment-id {number}"
            )
        about = KIND | {NOTE: ABOUT}
        if experiment:
            for name, value in about.items():
                if name not in experiment.tags:  # an earlier digitflow created it
                    self.client.set_experiment_tag(experiment.experiment_id, name, value)
            return str(experiment.experiment_id)
        is_server = self.uri.startswith("http")
        return str(self.client.create_experiment(EXPERIMENT, None if is_server else self._files, about))

    @property
    def exception(self) -> type[Exception]:
        """The class of MLflow's errors."""
        from mlflow.exceptions import MlflowException

        return MlflowException

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """One writer at a time: on this machine, and on all that share DIGITFLOW_LOCKS. It may take the lock again."""
        url = "" if self.is_local else Settings.load().locks
        with locked(self._home, f"{MLFLOW}/writing.lock"), leased(url, self._lock):
            yield

    def require_lock(self) -> None:
        """Raises LeaseLost if another machine may write meanwhile, since this one was cut off with the lock."""
        require_lease(self._lock)

    @property
    def _lock(self) -> str:
        return f"registry {self.key}"

    @contextlib.contextmanager
    def errors(self) -> Iterator[None]:
        """Turn the errors of MLflow and of its database into a DigitflowError."""
        from sqlalchemy.exc import SQLAlchemyError

        try:
            yield
        except DigitflowError:
            raise
        except (self.exception, SQLAlchemyError, ImportError) as error:
            what = hide_passwords((str(error).strip() or type(error).__name__).splitlines()[0])
            raise DigitflowError(
                f"the model registry {self.key} cannot be used: {what}; no champion was changed, run again when it can"
            ) from error


_SCHEMES = ("http", "https", "sqlite", "postgresql", "mysql", "mssql")
"""How an address begins that MLflow keeps a model registry at."""

ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
"""Variables that MLflow reads when it is imported, where the user has not set them."""


def _write_files(candidate: Candidate, package: Package, store: Store, *, folder: Path, run: str) -> None:
    """Write what MLflow keeps of a run: the Keras model, the weights, and the files of the package."""
    from tasks.model.forward import load_network

    shape, hp = package.example.shape[1:], candidate.hyperparameters
    network = load_network(candidate.weights, shape, candidate.classes, hyperparameters=hp, store=store)
    _save_model(network, candidate, package.example, path=folder / "model", run=run)
    for name, content in {WEIGHTS: store.path(candidate.weights).read_bytes(), **package.files}.items():
        (folder / name).write_bytes(content)


def _save_model(network: Any, candidate: Candidate, example: "Images", *, path: Path, run: str) -> None:
    """Save a network as an MLflow model that takes raw pictures, with its code, a signature and an input example.

    The signature says nothing of the input: MLflow would convert pixels of other types to it, in silence.
    """
    import mlflow.pyfunc
    import numpy as np
    from mlflow.models import Model, ModelSignature
    from mlflow.types.schema import Schema, TensorSpec

    from tasks.model.logged_model import save

    probabilities = Schema([TensorSpec(np.dtype(np.float32), (-1, candidate.classes))])
    raw = np.rint((example[..., 0] + np.float32(0.5)) * 255).astype(np.uint8)
    with tempfile.TemporaryDirectory() as scratch:
        save(network, candidate.image_shape, candidate.conventions, Path(scratch) / "data")
        loader = write_package("tasks.model.logged_model", Path(scratch) / "code")
        mlflow.pyfunc.save_model(
            str(path),
            loader_module=loader,
            data_path=f"{scratch}/data",
            code_paths=[f"{scratch}/code/{loader.partition('.')[0]}"],
            mlflow_model=Model(artifact_path="model", run_id=run),
            signature=ModelSignature(outputs=probabilities),
            input_example=raw,
            pip_requirements=[f"{name}=={version}" for name, version in versions(LOGGED_WITH).items()],
            metadata={"input": "pictures (n, height, width), in grey, of whole numbers from 0 to 255; of any size"},
        )


def _milliseconds() -> int:
    """The present time as MLflow wants it: since 1970, UTC."""
    return int(datetime.now(UTC).timestamp() * 1000)
