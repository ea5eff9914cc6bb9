"""The command line knows whether Prefect is configured without importing it, and replaces a damaged database."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from flows.cli import prefect_server
from flows.cli.prefect_server import PREFECT_TEMPLATE, _prepare, _set_aside_if_damaged
from tests.command import ROOT, environment

SCRIPT = """
import sys
from contextlib import closing
from flows.cli.servers import is_cache_refreshed, is_server_configured
print(is_server_configured(), is_cache_refreshed(), "prefect" in sys.modules)
"""

GARBAGE = """
import threading, time
from flows.cli import prefect_server
sleep, freed = time.sleep, []
time.sleep = lambda _: sleep(0.01)
class Cursor:
    def __del__(self):
        freed.append(threading.current_thread() is threading.main_thread())
prefect_server.collect_garbage_aside()
for _ in range(1000):
    cursor = Cursor()
    cursor.itself = cursor
del cursor
sleep(1)
print(len(freed), any(freed))
"""


def test_garbage_is_freed_by_another_thread() -> None:
    """The server frees garbage, and never on the thread of its event loop, which could wait for itself."""
    run = subprocess.run([sys.executable, "-c", GARBAGE], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "1000 False"


@pytest.mark.parametrize(
    ("variables", "answer"),
    [
        ({}, "False False False"),
        ({"PREFECT_API_URL": "http://127.0.0.1:9/api"}, "True False False"),
        ({"PREFECT_TASKS_REFRESH_CACHE": "true"}, "False True True"),
        ({"PREFECT_TASKS_REFRESH_CACHE": "false"}, "False False True"),
    ],
)
def test_configuration(variables: dict[str, str], answer: str, tmp_path: Path) -> None:
    """A server and a refreshed cache are configured by variables; Prefect is imported only if a variable needs it."""
    unset = {"PREFECT_API_URL": None, "PREFECT_TASKS_REFRESH_CACHE": None}
    own = {"HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", SCRIPT]
    run = subprocess.run(
        command, cwd=tmp_path, env=environment(**unset | own | variables), capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == answer


def test_settings_file(tmp_path: Path) -> None:
    """A prefect.toml in the working folder that names a server is obeyed."""
    (tmp_path / "prefect.toml").write_text('[api]\nurl = "http://127.0.0.1:9/api"\n')
    own = {"HOME": str(tmp_path), "PYTHONPATH": str(ROOT), "PREFECT_API_URL": None}
    command = [sys.executable, "-c", SCRIPT]
    run = subprocess.run(command, cwd=tmp_path, env=environment(**own), capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "True False True"


def test_damaged_database_is_set_aside(tmp_path: Path) -> None:
    """A sound database stays; a damaged one is renamed, so that Prefect creates a new one."""
    database = tmp_path / "prefect.db"
    with sqlite3.connect(database) as connection:
        connection.execute("CREATE TABLE runs (name TEXT)")
        connection.executemany("INSERT INTO runs VALUES (?)", [("x" * 100,)] * 1000)
    connection.close()
    sound = database.read_bytes()
    _set_aside_if_damaged(database)
    assert [path.name for path in tmp_path.iterdir()] == ["prefect.db"]
    database.write_bytes(sound[:5000] + b"damage" * 1000 + sound[11000:])
    _set_aside_if_damaged(database)
    (aside,) = tmp_path.iterdir()
    assert aside.name.startswith("damaged-") and aside.name.endswith("-prefect.db")


def test_unusable_database_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that cannot be opened or written is not called damaged: it stays, and the error names it."""
    database = tmp_path / "prefect.db"
    database.mkdir()
    _set_aside_if_damaged(database)
    assert database.exists()
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(SystemExit, match=f"{database} cannot be read and written by this user; change its owner"):
        _prepare(database)
    assert database.exists()


def test_new_database_comes_from_the_template(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new home gets the template; from a damaged template it gets no database, so that Prefect makes one."""
    ours, database = PREFECT_TEMPLATE._replace(folder=tmp_path / "templates"), tmp_path / "home" / "prefect.db"
    database.parent.mkdir()
    ours.folder.mkdir()
    monkeypatch.setattr(prefect_server, "PREFECT_TEMPLATE", ours)
    ours.path().write_bytes(b"no database " * 1000)
    _prepare(database)
    assert not list(database.parent.iterdir())
    ours.path().unlink()
    with closing(sqlite3.connect(ours.path())) as connection, connection:
        connection.execute("CREATE TABLE flow_run (id)")
    _prepare(database)
    assert database.read_bytes() == ours.path().read_bytes()
