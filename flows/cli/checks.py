"""Checks of what surrounds a pipeline: the machine, the home, the network, Prefect's server and the model registry.

Each check returns what it found in words and, if that is not as it should be, what to do. A check leaves nothing
behind; it fetches a champion's weights if the home lacks them.
"""

import contextlib
import errno
import os
import re
import shutil
import socket
import sqlite3
import sys
import tempfile
import threading
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from time import monotonic, time
from typing import Literal, NamedTuple
from urllib.parse import urlsplit
from urllib.request import getproxies

from artifacts.errors import DigitflowError, hide_passwords
from artifacts.lineage.environment import backend
from artifacts.lineage.manifest import manifests
from artifacts.storage.home import (
    BATCHES,
    INBOX,
    LOCKS,
    MLFLOW,
    MODELS,
    MONITORING,
    OBJECTS,
    PREFECT,
    QUARANTINE,
    RECORDS,
    RUNS,
    TEMPORARY,
    locked,
)
from artifacts.storage.leases import LeasedLock
from artifacts.storage.settings import Settings
from flows.cli.output import format_age
from flows.cli.prefect_server import UNAUTHORIZED, ask_server, is_server_configured, owner_of_port
from tasks.data.datasets import MIRRORS, Mirrors
from tasks.monitoring.freshness import Confirmation, last_confirmations
from tasks.registry.mlflow_runs import Tracking
from tasks.registry.registry import Registry
from tasks.registry.versions import UnreadableVersion

PATIENCE = 5.0
"""Seconds that a check waits for an answer."""
LONGEST = 15.0
"""Seconds after which a check that has not ended is given up."""
ENOUGH, SCARCE = 5e9, 5e8
"""Bytes that should be free on the disk of the home, and below which a run is likely to fail."""
SKEW = 120
"""Seconds by which this machine's clock may differ: signed requests and schedules go wrong with more."""
LOCK = Path(__file__).parents[2] / "requirements.lock"


class Check(NamedTuple):
    """What one check found. "note": a run works all the same."""

    what: str
    state: Literal["ok", "note", "problem"]
    found: str
    remedy: str = ""


def check_all(settings: Settings) -> list[Check]:
    """All checks, at the same time, in the order in which they are shown. One that takes too long is a problem."""
    results: dict[str, Check] = {}
    threads = []
    for what, check in _CHECKS.items():
        # daemon threads: one that hangs must not delay the end of the process
        thread = threading.Thread(target=_run, args=(what, check, settings, results), daemon=True)
        thread.start()
        threads.append(thread)
    deadline = monotonic() + LONGEST
    for thread in threads:
        thread.join(max(0.0, deadline - monotonic()))
    late: Result = ("problem", f"no answer in {LONGEST:.0f} s", "see whether what it asks hangs: an address, a disk")
    return [results.get(what, Check(what, *late)) for what in _CHECKS]


def _run(what: str, check: "Callable[[Settings], Result]", settings: Settings, results: dict[str, Check]) -> None:
    try:
        results[what] = Check(what, *check(settings))
    except DigitflowError as error:
        results[what] = Check(what, "problem", str(error))
    except Exception as error:  # what a check cannot cope with is no sound surrounding
        results[what] = Check(what, "problem", f"the check ended with {type(error).__name__}: {error}")


Result = tuple[Literal["ok", "note", "problem"], str, str]


def _python(_: Settings) -> Result:
    return "ok", f"{sys.version.split()[0]}, {sys.executable}, Keras on {backend()}", ""


def _packages(_: Settings) -> Result:
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


def _disk(settings: Settings) -> Result:
    place = _existing(settings.home)
    free = shutil.disk_usage(place).free
    words = f"{free / 1e9:.1f} GB free where {settings.home} is"
    if free >= ENOUGH:
        return "ok", words, ""
    return "problem" if free < SCARCE else "note", words, "free some space: digitflow cache prune --max-size 2GB"


def _home(settings: Settings) -> Result:
    """Whether the home can be written, and whether its file system has locks."""
    other = "set DIGITFLOW_HOME to a folder that you may write, on a local disk"
    if not settings.home.exists() and not settings.home.is_symlink():
        place = _existing(settings.home)
        if place.is_dir() and os.access(place, os.W_OK | os.X_OK):
            return "ok", f"{settings.home} does not exist yet; the first run makes it", ""
        return "problem", f"{settings.home} cannot be made in {place}", other
    try:
        with tempfile.NamedTemporaryFile(dir=settings.home), locked(settings.home, "doctor.lock", wait=False):
            pass
        (settings.home / "doctor.lock").unlink(missing_ok=True)
    except (OSError, DigitflowError) as error:
        return "problem", f"{settings.home}: {getattr(error, 'strerror', None) or error}", other
    folders = (
        OBJECTS,
        RECORDS,
        RUNS,
        MODELS,
        INBOX,
        BATCHES,
        QUARANTINE,
        MONITORING,
        MLFLOW,
        PREFECT,
        LOCKS,
        TEMPORARY,
    )
    if flawed := [name for name in folders if (path := settings.home / name).exists() and not path.is_dir()]:
        return "problem", f"{', '.join(flawed)} in {settings.home} should be folders", "move them away"
    return "ok", f"{settings.home} can be written and locked", ""


def _store(settings: Settings) -> Result:
    if settings.artifacts.remote is None:
        return "ok", "none is named", ""
    remote, name = settings.artifacts.remote, f"doctor-{os.getpid()}"
    with tempfile.NamedTemporaryFile() as file:
        remote.push(Path(file.name), name)
    remote.remove(name)
    return "ok", f"{hide_passwords(settings.store)} can be written", ""


def _locks(settings: Settings) -> Result:
    if not settings.locks:
        return "ok", "none are named", ""
    LeasedLock(settings.locks, "doctor").acquire(PATIENCE).release()
    return "ok", f"{hide_passwords(settings.locks)} gives them", ""


def _databases(settings: Settings) -> Result:
    """SQLite's own check of Prefect's and MLflow's databases in the home."""
    places = [settings.home / name for name in (f"{PREFECT}/prefect.db", "server/prefect.db", f"{MLFLOW}/mlflow.db")]
    damaged = [path for path in places if path.exists() and not _is_sound(path)]
    if not damaged:
        return "ok", f"{sum(path.exists() for path in places)} in the home, sound", ""
    names = ", ".join(map(str, damaged))
    if damaged[-1].name == "mlflow.db":
        return "problem", f"{names} damaged", f"restore {damaged[-1]} from a backup: it holds the model registry"
    return "note", f"{names} damaged", "nothing: it holds history only, and the next start sets it aside"


def _is_sound(path: Path) -> bool:
    try:
        with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
            has_tables = connection.execute("SELECT 1 FROM sqlite_master").fetchone() is not None
            return has_tables and bool(connection.execute("PRAGMA quick_check(1)").fetchone() == ("ok",))
    except sqlite3.DatabaseError as error:
        return "locked" in str(error)


def _proxy(_: Settings) -> Result:
    proxies = {scheme: url for scheme, url in getproxies().items() if scheme != "no"}
    if not proxies:
        return "ok", "none", ""
    words = ", ".join(f"{scheme} through {hide_passwords(url)}" for scheme, url in sorted(proxies.items()))
    return "ok", f"{words}; servers on this machine are reached directly", ""


def _mirrors(settings: Settings) -> Result:
    from tasks.data.mirrors import unanswered

    urls = settings.mirrors or MIRRORS["mnist"]
    reasons = unanswered(Mirrors(urls=urls, timeout=PATIENCE), PATIENCE)
    if not reasons:
        return "ok", f"one of {len(urls)} of mnist answers" if len(urls) > 1 else f"{urls[0]} answers", ""
    words = "; ".join(f"{url} ({reason})" for url, reason in reasons.items())
    remedy = "name another in DIGITFLOW_MIRRORS, or train on mnist-sample, which needs none"
    return "note", f"none of mnist answers: {words}", remedy


def _clock(settings: Settings) -> Result:
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


def _server(_: Settings) -> Result:
    """Whether the named server answers, and has this Prefect's version."""
    if not is_server_configured():
        return "ok", "none is named; each command starts its own. To keep one: make up", ""
    url = _url()
    status, theirs = ask_server(url, "admin/version")
    if status == UNAUTHORIZED:
        return "problem", f"{url} refuses us", "set PREFECT_API_AUTH_STRING"
    if not isinstance(theirs, str):
        return "problem", f"{url} does not answer as Prefect does", "make up, or unset PREFECT_API_URL"
    if theirs != version("prefect"):
        words = f"{url} has Prefect {theirs}, and this is {version('prefect')}"
        return "problem", words, "install the same version in both places"
    return "ok", f"{url} answers, Prefect {theirs}", ""


def _port(settings: Settings) -> Result:
    """Who has the port of `make up`."""
    given = os.environ.get("PORT") or "4200"
    if not given.isdecimal() or not 0 < (number := int(given)) < 2**16:
        return "problem", f"PORT is {given!r}", "give a number from 1 to 65535"
    try:
        socket.create_server(("127.0.0.1", number)).close()
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            return "problem", f"{number} cannot be used: {error.strerror}", f"make up PORT={max(number + 1, 4201)}"
    else:
        return "ok", f"{number} is free", ""
    if owner := owner_of_port(number, settings.home):
        return "note", f"{number} has {owner}", f"make up PORT={number + 1}"
    return "ok", f"{number} has this home's server", ""


def _worker(_: Settings) -> Result:
    if not is_server_configured():
        return "ok", "none is needed without a server", ""
    pool = os.environ.get("DIGITFLOW_POOL") or "local"
    workers = ask_server(_url(), f"work_pools/{pool}/workers/filter", {})[1]
    if not isinstance(workers, list):
        return "problem", f"the server has no work pool {pool!r}", "make deploy"
    online = sum(worker.get("status") == "ONLINE" for worker in workers)
    if online:
        return "ok", f"{online} online in {pool}", ""
    return "problem", f"none is online in {pool}, so runs of deployments wait", "make up, or: prefect worker start"


def _schedules(_: Settings) -> Result:
    if not is_server_configured():
        return "ok", "none without a server", ""
    found = ask_server(_url(), "deployments/filter", {"deployments": {"tags": {"all_": ["digitflow"]}}})[1]
    if not isinstance(found, list) or not found:
        return "note", "nothing is deployed", "make deploy"
    paused = [each["name"] for each in found if each["paused"]]
    if paused:
        return "note", f"{', '.join(paused)} paused", "prefect deployment resume, or Prefect's page"
    active = [each["name"] for each in found if any(schedule["active"] for schedule in each["schedules"])]
    if active:
        return "ok", f"{', '.join(active)} by schedule", ""
    return "note", "no schedule is on", "DIGITFLOW_NIGHTLY=true make deploy, or Prefect's page"


def _registry(settings: Settings) -> Result:
    """Whether MLflow answers, and every champion can be read and was confirmed lately."""
    tracking = Tracking(settings.home)
    if not tracking.is_local and tracking.uri.startswith("http"):
        import httpx

        try:
            answer = httpx.get(f"{tracking.uri.rstrip('/')}/health", timeout=PATIENCE)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            words = f"{tracking.key} does not answer: {hide_passwords(str(error)) or type(error).__name__}"
            return "problem", words, "start MLflow's server, or correct MLFLOW_TRACKING_URI"
        if not answer.is_success or answer.text.strip() != "OK":
            words = f"{tracking.key} does not answer as MLflow does"
            return "problem", words, "start MLflow's server, or correct MLFLOW_TRACKING_URI"
    elif not tracking.is_local:  # asking could create the database
        return "note", f"{tracking.key} was not opened", ""
    elif not (settings.home / MLFLOW).exists():
        return "ok", f"{tracking.key}, no versions yet", ""
    registry = Registry(settings.home)
    versions = registry.versions(None)
    unreadable = [each for each in versions if isinstance(each, UnreadableVersion)]
    lost = [f"version {each.version} of {each.dataset}" for each in unreadable if "champion" in each.aliases]
    if lost:
        return "problem", f"the champion cannot be read: {', '.join(lost)}", "digitflow models rollback, or retire"
    champions = [each for each in versions if not isinstance(each, UnreadableVersion) and "champion" in each.aliases]
    gone = [each for each in champions if not registry.restore(each, settings.artifacts)]
    if gone:
        names = ", ".join(f"version {each.version} of {each.dataset}" for each in gone)
        return "problem", f"the champion's weights are gone: {names}", "digitflow models rollback, or train again"
    if late := _stale(last_confirmations(registry, manifests(settings.artifacts)), settings.stale_days):
        return "note", f"no run confirmed lately: {late}", "retrain; each night: DIGITFLOW_NIGHTLY=true make deploy"
    return "ok", f"{tracking.key}, versions: {len(versions)}", ""


def _stale(confirmations: list[Confirmation], days: int) -> str:
    """The champions that were not confirmed for so many days, in words."""
    ages = {each: time() - each.at.timestamp() for each in confirmations}
    late = [(each, age) for each, age in ages.items() if age > days * 24 * 3600]
    return ", ".join(f"version {each.version} of {each.dataset}, last {format_age(age)}" for each, age in late)


def _webhook(_: Settings) -> Result:
    url = os.environ.get("DIGITFLOW_WEBHOOK", "")
    if not url:
        return "ok", "none is named, so nobody is told of failed runs", ""
    if url.startswith(("http://", "https://")) and urlsplit(url).netloc:
        return "ok", hide_passwords(re.sub(r"^(https?://[^/?]*).*", r"\1/…", url)), ""
    return "problem", f"DIGITFLOW_WEBHOOK is {url!r}", "give an http:// or https:// URL"


def _url() -> str:
    if url := os.environ.get("PREFECT_API_URL"):
        return url
    from prefect.settings import PREFECT_API_URL

    return str(PREFECT_API_URL.value())


def _existing(path: Path) -> Path:
    """The path, or the nearest folder above it that exists."""
    return next(place for place in (path, *path.parents) if place.exists())


_CHECKS: dict[str, Callable[[Settings], Result]] = {
    "Python": _python,
    "packages": _packages,
    "disk": _disk,
    "home": _home,
    "shared store": _store,
    "shared locks": _locks,
    "databases": _databases,
    "proxies": _proxy,
    "mirrors": _mirrors,
    "clock": _clock,
    "Prefect's server": _server,
    "port of make up": _port,
    "worker": _worker,
    "deployments": _schedules,
    "model registry": _registry,
    "webhook": _webhook,
}
