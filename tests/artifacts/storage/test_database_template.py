"""A template of a database belongs to one version of a library, and is copied only where there is no database."""

import shutil
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Barrier

import pytest

from artifacts.storage.database_template import DatabaseTemplate


def migrate(database: Path) -> None:
    with closing(sqlite3.connect(database)) as new, new:
        new.execute("CREATE TABLE runs (name TEXT)")


def fail(database: Path) -> None:
    database.write_bytes(b"half")
    raise RuntimeError("a migration failed")


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with an installed library `tinylib`, version 1, of two migrations."""
    folder = tmp_path / "installed"
    for path in ("tinylib/__init__.py", "tinylib/steps/a.py", "tinylib/steps/b.py", "tinylib-1.dist-info/METADATA"):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).touch()
    (folder / "tinylib-1.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: tinylib\nVersion: 1\n")
    monkeypatch.syspath_prepend(str(folder))
    yield folder


@pytest.fixture
def template(library: Path, tmp_path: Path) -> DatabaseTemplate:
    return DatabaseTemplate("tinylib", "tinylib", "steps", tmp_path / "templates")


@pytest.fixture
def made(template: DatabaseTemplate) -> DatabaseTemplate:
    template.make(migrate)
    return template


def test_belongs_to_a_version_and_its_migrations(template: DatabaseTemplate, library: Path) -> None:
    """Another version of the library, or another migration, has another template."""
    paths = [template.path()]
    (library / "tinylib/steps/c.py").touch()
    paths.append(template.path())
    metadata = library / "tinylib-1.dist-info/METADATA"
    metadata.write_text(metadata.read_text().replace("Version: 1", "Version: 2"))
    paths.append(template.path())
    assert len({*paths}) == 3


def test_a_newer_version_has_no_template_until_it_is_made(made: DatabaseTemplate, library: Path, home: Path) -> None:
    """The template of an earlier version is not copied, and goes when that of the new version is made."""
    home.mkdir(exist_ok=True)
    (library / "tinylib/steps/c.py").touch()
    made.copy_to(home / "new.db")
    assert not (home / "new.db").exists()
    made.make(migrate)
    made.copy_to(home / "new.db")
    assert (home / "new.db").exists() and [*made.folder.iterdir()] == [made.path()]


def test_a_failed_migration_changes_nothing(made: DatabaseTemplate) -> None:
    """If the library cannot make a database, an earlier template stays and nothing half written is left."""
    before = made.path().read_bytes()
    with pytest.raises(RuntimeError):
        made.make(fail)
    assert made.path().read_bytes() == before and [*made.folder.iterdir()] == [made.path()]


def test_copy(made: DatabaseTemplate, tmp_path: Path) -> None:
    """Where there is no database, a copy is made; it is a file of its own, and nothing else is left."""
    (tmp_path / "home").mkdir()
    made.copy_to(tmp_path / "home" / "new.db")
    (copy,) = (tmp_path / "home").iterdir()
    assert copy.read_bytes() == made.path().read_bytes() and not copy.samefile(made.path())
    assert copy.stat().st_nlink == 1


@pytest.mark.parametrize("content", [b"", b"history"])
def test_a_database_is_never_touched(content: bytes, made: DatabaseTemplate, tmp_path: Path) -> None:
    """A database that exists stays as it is, whatever it holds."""
    (tmp_path / "used.db").write_bytes(content)
    made.copy_to(tmp_path / "used.db")
    assert (tmp_path / "used.db").read_bytes() == content


def test_a_database_that_appears_meanwhile_stays(
    made: DatabaseTemplate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database that another process makes during the copy is not replaced."""
    database, copyfile = tmp_path / "home" / "new.db", shutil.copyfile
    database.parent.mkdir()

    def slow_copy(source: Path, target: Path) -> None:
        copyfile(source, target)
        database.write_bytes(b"history")

    monkeypatch.setattr(shutil, "copyfile", slow_copy)
    made.copy_to(database)
    assert database.read_bytes() == b"history" and [*database.parent.iterdir()] == [database]


def test_many_at_once(made: DatabaseTemplate, tmp_path: Path) -> None:
    """Of many first runs in one home one makes the database, and all find a whole one."""
    database, together = tmp_path / "home" / "new.db", Barrier(8)
    database.parent.mkdir()

    def first_run(_: int) -> bytes:
        together.wait()
        made.copy_to(database)
        return database.read_bytes()

    with ThreadPoolExecutor(8) as threads:
        assert {*threads.map(first_run, range(8))} == {made.path().read_bytes()}
    assert [*database.parent.iterdir()] == [database]


@pytest.mark.parametrize("content", [None, b"", b"no database " * 1000])
def test_without_a_sound_template(content: bytes | None, made: DatabaseTemplate, tmp_path: Path) -> None:
    """Without a template, or with a damaged one, no database is left that the library could not use."""
    made.path().unlink()
    if content is not None:
        made.path().write_bytes(content)
    (tmp_path / "home").mkdir()
    made.copy_to(tmp_path / "home" / "new.db")
    assert b"".join(path.read_bytes() for path in (tmp_path / "home").iterdir()) == b""


def test_a_disk_without_links(made: DatabaseTemplate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a copy cannot be put in its place safely, there is none: the library makes the database itself."""

    def refuse(*_: object) -> None:
        raise PermissionError("no hard links here")

    (tmp_path / "home").mkdir()
    monkeypatch.setattr(Path, "hardlink_to", refuse)
    made.copy_to(tmp_path / "home" / "new.db")
    assert not [*(tmp_path / "home").iterdir()]
