"""MLflow's client and its errors: of a server, or of a database below the home."""

import contextlib
import logging
import os
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from artifacts.errors import DigitflowError, UsageError, hide_passwords
from artifacts.storage.database_template import DatabaseTemplate
from artifacts.storage.home import MLFLOW, locked
from artifacts.storage.leases import leased, require_lease
from artifacts.storage.settings import Settings
from tasks.registry.local_reads import LocalDatabase
from tasks.registry.run_tags import ABOUT, KIND, NOTE
from tasks.registry.versions import PREFIX, RECORD, VISIBLE_RECORD, WITHDRAWN, RegisteredModel, VersionRow

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import RegisteredModel as MlflowModel

EXPERIMENT = "digitflow"
DAMAGED = ("file is not a database", "disk image is malformed")
"""What SQLite says of a database that it cannot read."""
MLFLOW_TEMPLATE = DatabaseTemplate("mlflow", "mlflow-skinny", "store/db_migrations/versions")


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

    @property
    def remedy(self) -> str:
        """What to do if its content is lost."""
        return f"restore {self.local.path.parent if self.is_local else self.key} from a backup"

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
            is_damaged = self.is_local and any(sign in what for sign in DAMAGED)
            way = f"restore {self.local.path} from a backup" if is_damaged else "run again when it can"
            raise DigitflowError(
                f"the model registry {self.key} cannot be used: {what}; no champion was changed; {way}"
            ) from error


_SCHEMES = ("http", "https", "sqlite", "postgresql", "mysql", "mssql")
"""How an address begins that MLflow keeps a model registry at."""

ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
"""Variables that MLflow reads when it is imported, where the user has not set them."""
