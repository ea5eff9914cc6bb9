"""A new database of Prefect, made once in an environment and copied into each new home: its migrations take seconds.

    python -m flows.cli.database_template

makes it; `make setup` does so. It belongs to the environment's version of Prefect and its migrations, and holds nothing
but empty tables and the number of the last migration.
"""

import contextlib
import hashlib
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

_MIGRATIONS = "server/database/_migrations/versions/sqlite"


def template_path() -> Path:
    """Where the template for the installed Prefect is, if it was made."""
    spec = find_spec("prefect")  # does not import Prefect, which takes a second
    folder = (
        Path(spec.submodule_search_locations[0]) / _MIGRATIONS if spec and spec.submodule_search_locations else None
    )
    names = sorted(path.name for path in folder.glob("*.py")) if folder else []
    digest = hashlib.sha256("\n".join(names).encode()).hexdigest()[:12]
    return Path(sys.prefix) / "share" / "digitflow" / f"prefect-{version('prefect')}-{digest}.db"


def make_template(path: Path) -> None:
    """Let Prefect migrate an empty database, and put it at `path` whole. Earlier templates there are removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
        settings = {
            "PREFECT_HOME": scratch,
            "PREFECT_API_DATABASE_CONNECTION_URL": "sqlite+aiosqlite:///prefect.db",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "0",
        }
        command = [sys.executable, "-m", "prefect", "server", "database", "upgrade", "--yes"]
        subprocess.run(command, cwd=scratch, env=os.environ | settings, check=True, stdout=subprocess.DEVNULL)  # noqa: S603
        with contextlib.closing(sqlite3.connect(Path(scratch) / "prefect.db")) as database:
            database.execute("VACUUM INTO ?", (f"{scratch}/template.db",))
        for old in path.parent.glob("prefect-*.db"):
            old.unlink()
        Path(scratch, "template.db").replace(path)


def copy_template(database: Path) -> None:
    """Copy the template, if there is one, to the place of a database that does not exist yet."""
    template = template_path()
    if not database.exists() and template.exists():
        part = database.with_name(f"{database.name}.part")
        with contextlib.suppress(OSError):  # without a copy, Prefect makes the database itself
            shutil.copyfile(template, part)
            part.replace(database)


if __name__ == "__main__":
    make_template(template_path())
