"""The templates of Prefect's and MLflow's databases hold nothing of the machine, home or moment that made them."""

import re
import shutil
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from importlib.util import cache_from_source
from pathlib import Path
from typing import Any

import pytest

from artifacts.storage.database_template import DatabaseTemplate
from flows.cli.prefect_server import PREFECT_TEMPLATE
from flows.cli.preparation import compile_own, migrate_mlflow, migrate_prefect, prepare
from tasks.registry import mlflow_client
from tasks.registry.mlflow_client import MLFLOW_TEMPLATE, Tracking
from tests.command import ROOT, environment

OPEN = """
import sys
from pathlib import Path
from tasks.registry import mlflow_client
mlflow_client.MLFLOW_TEMPLATE = mlflow_client.MLFLOW_TEMPLATE._replace(folder=Path(sys.argv[2]))
mlflow_client.Tracking(Path(sys.argv[1])).open()
"""


def content(path: Path) -> dict[str, list[Any]]:
    """The rows of each table that has any."""
    with closing(sqlite3.connect(path)) as database:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        rows = {name: database.execute(f'SELECT * FROM "{name}"').fetchall() for name in tables}
    return {name: found for name, found in rows.items() if found}


def schema(path: Path) -> set[str]:
    """The words of each statement that made a table or an index; MLflow's have no fixed order."""
    with closing(sqlite3.connect(path)) as database:
        statements = database.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    return {" ".join(sorted(re.findall(r"\w+", sql))) for (sql,) in statements}


@pytest.fixture(scope="module")
def prefect(tmp_path_factory: pytest.TempPathFactory) -> DatabaseTemplate:
    template = PREFECT_TEMPLATE._replace(folder=tmp_path_factory.mktemp("prefect"))
    prepare(template, migrate_prefect)
    return template


@pytest.fixture(scope="module")
def mlflow(tmp_path_factory: pytest.TempPathFactory) -> DatabaseTemplate:
    template = MLFLOW_TEMPLATE._replace(folder=tmp_path_factory.mktemp("mlflow"))
    prepare(template, migrate_mlflow)
    return template


def test_own_code_is_compiled(tmp_path: Path) -> None:
    """Each module of digitflow has its bytecode after set-up; nothing is written into a home."""
    for package in ("artifacts", "tasks", "flows", "deployments"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("home", "__pycache__"))
    (tmp_path / "artifacts/home/logs").mkdir(parents=True)
    (tmp_path / "artifacts/home/logs/of_a_person.py").touch()
    compile_own(tmp_path)
    bare = [path.name for path in tmp_path.rglob("*.py") if not Path(cache_from_source(str(path))).exists()]
    assert bare == ["of_a_person.py"]


def test_prefect_template_holds_only_empty_tables(prefect: DatabaseTemplate) -> None:
    """Prefect's template has its tables and the number of the last migration: no key, no identity, no history."""
    assert content(prefect.path()).keys() == {"alembic_version"}
    assert any(" flow_run " in words for words in schema(prefect.path()))


def test_mlflow_template_holds_nothing_unique(mlflow: DatabaseTemplate, tmp_path: Path) -> None:
    """MLflow's template, made elsewhere and at another time, has the same rows: no date, no folder, no identity."""
    migrate_mlflow(tmp_path / "new.db")
    assert content(mlflow.path()) == content(tmp_path / "new.db")
    assert content(mlflow.path()).keys() == {"alembic_version", "workspaces"}
    assert str(mlflow.folder).encode() not in mlflow.path().read_bytes()


def test_what_is_there_is_not_made_again(mlflow: DatabaseTemplate) -> None:
    """A second set-up makes no template that is there."""

    def unwanted(_: Path) -> None:
        raise AssertionError

    prepare(mlflow, unwanted)


def test_mlflow_opens_a_copy_as_its_own(
    mlflow: DatabaseTemplate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A registry from the template is as MLflow makes one: the same tables, and experiments of this home and moment."""
    started = time.time() * 1000
    files = {}
    for name, folder in (("copied", mlflow.folder), ("own", tmp_path / "none"), ("another", mlflow.folder)):
        monkeypatch.setattr(mlflow_client, "MLFLOW_TEMPLATE", mlflow._replace(folder=folder))
        tracking = Tracking(tmp_path / name)
        ours = tracking.client.get_experiment(tracking.experiment)
        default = tracking.client.get_experiment("0")
        assert default.creation_time >= started - 1 and default.name == "Default"
        assert ours.artifact_location == (tmp_path / name / "mlflow" / "artifacts").as_uri()
        files[name] = tracking.local.path
    assert schema(files["copied"]) == schema(files["own"]) == schema(files["another"])
    assert content(files["copied"]).keys() == content(files["own"]).keys()


def test_two_first_runs_at_once(mlflow: DatabaseTemplate, tmp_path: Path) -> None:
    """Two processes that open the registry of one new home both succeed, and have one database."""
    home = tmp_path / "home"
    command = [sys.executable, "-c", OPEN, str(home), str(mlflow.folder)]
    processes = [subprocess.Popen(command, cwd=ROOT, env=environment(MLFLOW_TRACKING_URI=None)) for _ in range(2)]
    assert [process.wait() for process in processes] == [0, 0]
    names = [name for _, name, *_ in content(home / "mlflow" / "mlflow.db")["experiments"]]
    assert "Default" in names and len(names) == len({*names})
    assert not list((home / "mlflow").glob("*.part"))
