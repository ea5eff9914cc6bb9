"""Is this machine sound: Python and its packages, the disk, the home and its databases, the clock?"""

import contextlib
import os
import re
import shutil
import sys
import tempfile
from email.utils import parsedate_to_datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from time import time

from artifacts.errors import DigitflowError
from artifacts.lineage.environment import backend
from artifacts.storage.database_template import is_damaged
from artifacts.storage.home import CORRECTIONS, FOLDERS, MLFLOW, MONITORING, PREFECT, locked
from artifacts.storage.settings import Settings
from flows.cli.checks.check import PATIENCE, Result
from tasks.data.datasets import MIRRORS
from tasks.retraining.ledger import all_batches, is_there

ENOUGH, SCARCE = 5e9, 5e8
"""Bytes that should be free on the disk of the home, and below which a run is likely to fail."""
SKEW = 120
"""Seconds by which this machine's clock may differ: signed requests and schedules go wrong with more."""
LOCK = Path(__file__).parents[3] / "requirements.lock"


def check_python(_: Settings) -> Result:
    return "ok", f"{sys.version.split()[0]}, {sys.executable}, Keras on {backend()}", ""


def check_packages(_: Settings) -> Result:
    """The installed versions against the lock beside the code."""
    if not LOCK.exists():
        return "note", "there is no requirements.lock beside the code to compare with", ""
    locked_versions: dict[str, set[str]] = {}
    for name, number in re.findall(r"^([\w.-]+)==([^\s;]+)", LOCK.read_text(), re.MULTILINE):
        locked_versions.setdefault(name, set()).add(number)
    differing = []
    for name, numbers in locked_versions.items():
        with contextlib.suppress(PackageNotFoundError):
            if version(name) not in numbers:
                differing.append(f"{name} {version(name)}, not {' or '.join(sorted(numbers))}")
    if differing:
        return "problem", "; ".join(differing), "make setup"
    return "ok", "as locked", ""


def check_disk(settings: Settings) -> Result:
    place = _existing(settings.home)
    free = shutil.disk_usage(place).free
    words = f"{free / 1e9:.1f} GB free where {settings.home} is"
    if free >= ENOUGH:
        return "ok", words, ""
    return (
        "problem" if free < SCARCE else "note",
        words,
        "free some space; digitflow cache shows what the home takes, and cache prune --max-size evicts the rest",
    )


def check_home(settings: Settings) -> Result:
    """Whether the home can be written, and whether its file system has locks."""
    other = "set DIGITFLOW_HOME to a folder that you may write, on a local disk"
    if not settings.home.exists() and not settings.home.is_symlink():
        place = _existing(settings.home)
        try:
            with tempfile.TemporaryDirectory(dir=place):
                return "ok", f"{settings.home} does not exist yet; the first run makes it", ""
        except OSError:
            return "problem", f"{settings.home} cannot be made in {place}", other
    try:
        with tempfile.NamedTemporaryFile(dir=settings.home), locked(settings.home, "doctor.lock", wait=False):
            pass
        (settings.home / "doctor.lock").unlink(missing_ok=True)
    except (OSError, DigitflowError) as error:
        return "problem", f"{settings.home}: {getattr(error, 'strerror', None) or error}", other
    if flawed := [name for name in FOLDERS if (path := settings.home / name).exists() and not path.is_dir()]:
        return "problem", f"{', '.join(flawed)} in {settings.home} should be folders", "move them away"
    return "ok", f"{settings.home} can be written and locked", ""


def check_databases(settings: Settings) -> Result:
    """SQLite's own check of the databases in the home."""
    kept = {
        f"{MONITORING}/days.db": "what was predicted",
        f"{CORRECTIONS}/corrections.db": "what people corrected",
        f"{MLFLOW}/mlflow.db": "the model registry",
    }
    places = [settings.home / name for name in (f"{PREFECT}/prefect.db", "server/prefect.db", *kept)]
    there = [path for path in places if path.exists()]
    if forbidden := [path for path in there if not os.access(path, os.R_OK | os.W_OK)]:
        names = ", ".join(map(str, forbidden))
        return "problem", f"{names} cannot be read and written by this user", "change the owner or the permissions"
    damaged = [path for path in there if not path.stat().st_size or is_damaged(path)]
    if not damaged:
        return "ok", f"{len(there)} in the home, sound", ""
    names = ", ".join(map(str, damaged))
    if what := kept.get(str(damaged[-1].relative_to(settings.home))):
        return "problem", f"{names} damaged", f"restore {damaged[-1]} from a backup: it holds {what}"
    return "note", f"{names} damaged", "nothing: it holds history only, and the next start sets it aside"


def check_clock(settings: Settings) -> Result:
    """This machine's clock against the first mirror that tells the time."""
    import httpx

    for url in settings.mirrors or MIRRORS["mnist"]:
        with contextlib.suppress(httpx.HTTPError, httpx.InvalidURL, KeyError, ValueError):
            told = parsedate_to_datetime(httpx.head(url, timeout=PATIENCE).headers["Date"])
            skew = time() - told.timestamp()
            if abs(skew) <= SKEW:
                return "ok", f"within {max(2, abs(skew)):.0f} s of {url}", ""
            return "problem", f"{abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} {url}", "set the clock"
    return "note", "nobody to compare with answers", ""


def _existing(path: Path) -> Path:
    """The path, or the nearest folder above it that exists."""
    return next(place for place in (path, *path.parents) if place.exists())


def check_batches(settings: Settings) -> Result:
    """Whether the ledgers of accepted batches can be read, and their files are there: else every retraining ends."""
    batches = [batch for batch in all_batches(settings.artifacts) if not batch.withdrawn]
    if lost := [batch.name for batch in batches if not is_there(batch, settings.artifacts)]:
        return "problem", f"lost: {', '.join(lost)}", "restore them from a backup, or: digitflow data withdraw"
    return "ok", f"{len(batches)} are learned from", ""
