"""A new database of a library, made once in an environment and copied into each new home: its migrations take seconds.

A template belongs to the installed version of the library and its migrations. It holds tables, and of rows only those
that every new database has.
"""

import contextlib
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple


class DatabaseTemplate(NamedTuple):
    """Where the template of a library's database is."""

    package: str
    """As it is imported."""
    distribution: str
    """As it is installed."""
    migrations: str
    """The folder of the package that has a file for each migration."""
    folder: Path = Path(sys.prefix) / "share" / "digitflow"

    def path(self) -> Path:
        """Where the template for the installed version is, if it was made."""
        import hashlib
        from importlib.metadata import version
        from importlib.util import find_spec

        spec = find_spec(self.package)  # does not import the package, which takes seconds
        places = spec.submodule_search_locations if spec else None
        names = sorted(path.name for place in places or () for path in Path(place, self.migrations).glob("*.py"))
        digest = hashlib.sha256("\n".join(names).encode()).hexdigest()[:12]
        return self.folder / f"{self.package}-{version(self.distribution)}-{digest}.db"

    def make(self, migrate: Callable[[Path], None]) -> None:
        """Let `migrate` create a database, and put it in its place whole. Templates of earlier versions are removed."""
        import tempfile

        self.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.folder) as scratch:
            new, template = Path(scratch, "new.db"), Path(scratch, "template.db")
            migrate(new)
            with contextlib.closing(sqlite3.connect(new)) as database:
                database.execute("VACUUM INTO ?", (str(template),))
            for old in self.folder.glob(f"{self.package}-*.db"):
                old.unlink(missing_ok=True)
            template.replace(self.path())

    def copy_to(self, database: Path) -> None:
        """Copy the template, if there is a sound one, to the place of a database that does not exist yet.

        A database that exists is never replaced, not even by a second copy at the same time. Without a copy, the
        library makes the database itself.
        """
        if database.exists() or not self.path().exists():
            return
        import shutil
        from uuid import uuid4

        part = database.with_name(f"{database.name}.{uuid4().hex}.part")
        with contextlib.suppress(OSError, sqlite3.DatabaseError):
            shutil.copyfile(self.path(), part)
            with contextlib.closing(sqlite3.connect(part)) as copy:
                if copy.execute("PRAGMA quick_check(1)").fetchone() == ("ok",):
                    database.hardlink_to(part)  # unlike a rename, fails where there is a database
        part.unlink(missing_ok=True)


def is_damaged(database: Path) -> bool:
    """Whether SQLite finds the content of a database damaged. False if it cannot be read now, as when locked."""
    try:
        with contextlib.closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            return bool(connection.execute("PRAGMA quick_check(1)").fetchone() != ("ok",))
    except sqlite3.OperationalError:
        return False
    except sqlite3.DatabaseError:
        return True
