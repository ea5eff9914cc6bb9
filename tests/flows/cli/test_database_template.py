"""The template of Prefect's database."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from flows.cli import database_template
from flows.cli.database_template import copy_template, make_template, template_path


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("templates") / "prefect-new.db"
    path.with_name("prefect-old.db").write_bytes(b"of an earlier version")
    make_template(path)
    return path


def test_template_holds_nothing_but_empty_tables(template: Path) -> None:
    """A template has Prefect's tables and the number of the last migration: no key, no identity, no history."""
    with closing(sqlite3.connect(template)) as database:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        rows = {name: database.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for name in tables}
    assert "flow_run" in tables and {name: count for name, count in rows.items() if count} == {"alembic_version": 1}


def test_template_stands_alone(template: Path) -> None:
    """Making a template removes those of earlier versions, and leaves nothing else behind."""
    assert [path.name for path in template.parent.iterdir()] == [template.name]


def test_new_database_is_a_copy(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home without a database gets a copy of the template; one that has a database keeps it."""
    monkeypatch.setattr(database_template, "template_path", lambda: template)
    copy_template(tmp_path / "prefect.db")
    assert (tmp_path / "prefect.db").read_bytes() == template.read_bytes()
    (tmp_path / "used.db").write_bytes(b"history")
    copy_template(tmp_path / "used.db")
    assert (tmp_path / "used.db").read_bytes() == b"history"


def test_without_template(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a template nothing is copied: Prefect makes the database itself."""
    monkeypatch.setattr(database_template, "template_path", lambda: tmp_path / "none.db")
    copy_template(tmp_path / "prefect.db")
    assert not (tmp_path / "prefect.db").exists()


def test_template_belongs_to_a_version(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another version of Prefect, or other migrations, have another template."""
    before = template_path()
    monkeypatch.setattr(database_template, "version", lambda _: "0.0")
    other_version = template_path()
    monkeypatch.setattr(database_template, "_MIGRATIONS", "server/database")
    assert len({before, other_version, template_path()}) == 3
