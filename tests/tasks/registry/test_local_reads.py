"""The SQL on the local database reads what MLflow's client reads, without importing it."""

import contextlib
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from artifacts.storage.store import Store
from tasks.registry.local_reads import LocalDatabase
from tasks.registry.registry import Registry
from tasks.registry.versions import RECORD
from tests.tasks.registry.conftest import break_record, readable, register

LOOKUPS = """
import sys
from pathlib import Path
from tasks.registry.registry import Registry
registry = Registry(Path(sys.argv[1]))
version = registry.find(2)
assert len(registry.versions()) == 3 and registry.champion("digits").version == 1
assert registry.contains("local", 2, version.weights) and registry.test_set_uses(version.test) == 3
assert len(registry.history("digits")) == 1 and registry.champion("other") is None
assert "mlflow" not in sys.modules
"""


def test_same_as_the_client(registry: Registry, store: Store) -> None:
    """The SQL and the client read the same models, versions, aliases and tags, of one data set and of all."""
    register(store, 4, dataset="it's")
    registry.promote(registry.find(2), "better", 1)
    break_record(registry, 3, "oops")
    client, local = registry.tracking, registry.tracking.local
    client.client.delete_model_version("digitflow-digits", "1")
    client.client.create_registered_model("digitflowers")
    client.client.create_model_version("digitflow-digits", "file:///elsewhere")
    for name in ("digitflow-digits", None, "digitflow-unknown"):
        pairs = zip(local.models(name), client.models(name), strict=True)
        for by_sql, by_client in pairs:
            assert by_sql._replace(rows=sorted(by_sql.rows)) == by_client._replace(rows=sorted(by_client.rows))
    assert len(local.models()) == 2 and len(local.models("digitflow-digits")[0].rows) == 3


def test_records_where_earlier_code_put_them(registry: Registry) -> None:
    """A record in the tag of earlier code is read by the SQL and by the client; one that is written again counts."""
    before = readable(registry)
    with contextlib.closing(sqlite3.connect(registry.tracking.local.path)) as database, database:
        moved = database.execute("UPDATE model_version_tags SET key = 'digitflow' WHERE key = ?", (RECORD,)).rowcount
    assert moved == 3 and readable(registry) == before
    registry.mark_rejected(registry.find(2), "a person declined it")
    assert registry.find(2).reason == "a person declined it" and not registry.find(2).passed
    (by_sql,), (by_client,) = registry.tracking.local.models(), registry.tracking.models()
    assert sorted(by_sql.rows) == sorted(by_client.rows)


def test_no_import_of_mlflow(registry: Registry, home: Path) -> None:
    """No lookup in a local database imports MLflow."""
    subprocess.run([sys.executable, "-c", LOOKUPS, str(home)], check=True)


def test_no_database(tmp_path: Path) -> None:
    """A home without a database has no models, and a lookup creates no file."""
    assert LocalDatabase(tmp_path / "mlflow.db").models() == [] and not list(tmp_path.iterdir())


def test_unusable_schema(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the SQL fails, the registry reads the same from MLflow's client."""
    by_sql = registry.versions(), registry.champion("digits"), registry.history("digits")

    def fail(*_: object) -> None:
        raise sqlite3.OperationalError("no such table: model_versions")

    monkeypatch.setattr(LocalDatabase, "models", fail)
    assert (registry.versions(), registry.champion("digits"), registry.history("digits")) == by_sql
    assert registry.champion("other") is None and registry.history("other") == []
