"""Does what a run talks to answer: shared store and locks, mirrors, Prefect's server, its worker, the webhook?"""

import errno
import os
import re
import socket
import tempfile
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies

from artifacts.errors import hide_passwords
from artifacts.storage.leases import LeasedLock
from artifacts.storage.remote import open_url
from artifacts.storage.settings import Settings
from flows.cli.checks.check import PATIENCE, Result
from flows.cli.servers import REFUSALS, ask_server, configured_url, is_server_configured, owner_of_port, url_of_home
from tasks.data.datasets import MIRRORS, Mirrors

UNKNOWN: Result = ("note", "not known: the server does not answer", "")
NIGHTLY = ("DIGITFLOW_NIGHTLY", "DIGITFLOW_CRON", "DIGITFLOW_TIMEZONE")


def check_store(settings: Settings) -> Result:
    if settings.artifacts.remote is None:
        return "ok", "none is named", ""
    remote, name = settings.artifacts.remote, f"doctor-{os.getpid()}"
    with tempfile.NamedTemporaryFile() as file:
        remote.push(Path(file.name), name)
    remote.remove(name)
    return "ok", f"{hide_passwords(settings.store)} can be written", ""


def check_inbox(settings: Settings) -> Result:
    """Whether the folder from which retraining fetches batches can be listed."""
    if not settings.inbox:
        return "ok", "none is named", ""
    name = hide_passwords(settings.inbox)
    try:
        files, root = open_url(settings.inbox)
        return "ok", f"{name} can be read, entries: {len(files.ls(root, detail=False))}", ""
    except Exception as error:  # each file system raises its own
        what = hide_passwords(" ".join(str(error).split())) or type(error).__name__
        return "problem", f"{name} cannot be read: {what}", "correct DIGITFLOW_INBOX: each retraining reads it"


def check_nightly(_: Settings) -> Result:
    """Whether `make deploy` can take the schedule that the variables give."""
    given = {name: value for name in NIGHTLY if (value := os.environ.get(name))}
    if not given:
        return "ok", "no variable changes the schedule", ""
    from prefect.client.schemas.schedules import CronSchedule
    from pydantic import TypeAdapter, ValidationError

    try:
        TypeAdapter(bool).validate_python(given.get("DIGITFLOW_NIGHTLY", "false"))
        timezone = given.get("DIGITFLOW_TIMEZONE", "UTC")
        CronSchedule(cron=given.get("DIGITFLOW_CRON", "0 3 * * *"), timezone=timezone)
    except ValidationError as error:
        words = " ".join(f"{name}={value!r}" for name, value in given.items())
        return "problem", f"{words}: {error.errors()[0]['msg']}", "correct it before make deploy"
    return "ok", ", ".join(given.values()), ""


def check_locks(settings: Settings) -> Result:
    if not settings.locks:
        return "ok", "none are named", ""
    LeasedLock(settings.locks, "doctor").acquire(PATIENCE).release()
    return "ok", f"{hide_passwords(settings.locks)} gives them", ""


def check_proxy(_: Settings) -> Result:
    proxies = {scheme: url for scheme, url in getproxies().items() if scheme != "no"}
    if not proxies:
        return "ok", "none", ""
    words = ", ".join(f"{scheme} through {hide_passwords(url)}" for scheme, url in sorted(proxies.items()))
    return "ok", f"{words}; servers on this machine are reached directly", ""


def check_mirrors(settings: Settings) -> Result:
    from tasks.data.mirrors import unanswered

    urls = settings.mirrors or MIRRORS["mnist"]
    reasons = unanswered(Mirrors(urls=urls, timeout=PATIENCE), PATIENCE)
    if not reasons:
        return "ok", f"one of {len(urls)} of mnist answers" if len(urls) > 1 else f"{urls[0]} answers", ""
    words = "; ".join(f"{url} ({reason})" for url, reason in reasons.items())
    remedy = "name another in DIGITFLOW_MIRRORS, or train on mnist-sample, which needs none"
    return "note", f"none of mnist answers: {words}", remedy


def check_server(settings: Settings) -> Result:
    """Whether the named server answers, and has this Prefect's version."""
    if not is_server_configured():
        if url := url_of_home(settings.home):
            return "note", f"none is named, though this home's runs at {url}", f"export PREFECT_API_URL={url}"
        return "ok", "none is named; each command starts its own. To keep one: make up", ""
    url = configured_url()
    status, theirs = ask_server(url, "admin/version")
    if status in REFUSALS:
        return "problem", f"{url} refuses us", "set PREFECT_API_AUTH_STRING"
    if not isinstance(theirs, str):
        words = f"{url} does not answer" + " as Prefect does" * bool(status)
        return "problem", words, "correct or unset PREFECT_API_URL" if status else "make up, or unset PREFECT_API_URL"
    if theirs != version("prefect"):
        words = f"{url} has Prefect {theirs}, and this is {version('prefect')}"
        return "problem", words, "install the same version in both places"
    return "ok", f"{url} answers, Prefect {theirs}", ""


def check_port(settings: Settings) -> Result:
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


def check_worker(_: Settings) -> Result:
    if not is_server_configured():
        return "ok", "none is needed without a server", ""
    if not _answers():
        return UNKNOWN
    pool = os.environ.get("DIGITFLOW_POOL") or "local"
    workers = ask_server(configured_url(), f"work_pools/{pool}/workers/filter", {})[1]
    if not isinstance(workers, list):
        return "problem", f"the server has no work pool {pool!r}", "make deploy"
    online = sum(worker.get("status") == "ONLINE" for worker in workers)
    if online:
        return "ok", f"{online} online in {pool}", ""
    remedy = f"make up, or: prefect worker start --pool {pool}"
    return "problem", f"none is online in {pool}, so runs of deployments wait", remedy


def check_schedules(_: Settings) -> Result:
    if not is_server_configured():
        return "ok", "none without a server", ""
    if not _answers():
        return UNKNOWN
    found = ask_server(configured_url(), "deployments/filter", {"deployments": {"tags": {"all_": ["digitflow"]}}})[1]
    if not isinstance(found, list) or not found:
        return "note", "nothing is deployed", "make deploy"
    paused = [each["name"] for each in found if each["paused"]]
    if paused:
        return "note", f"{', '.join(paused)} paused", "prefect deployment resume, or Prefect's page"
    active = [each["name"] for each in found if any(schedule["active"] for schedule in each["schedules"])]
    if active:
        return "ok", f"{', '.join(active)} by schedule", ""
    return "note", "no schedule is on", "DIGITFLOW_NIGHTLY=true make deploy, or Prefect's page"


def check_webhook(_: Settings) -> Result:
    url = os.environ.get("DIGITFLOW_WEBHOOK", "")
    if not url:
        return "ok", "none is named, so nobody is told of failed runs", ""
    if url.startswith(("http://", "https://")) and urlsplit(url).netloc:
        return "ok", hide_passwords(re.sub(r"^(https?://[^/?]*).*", r"\1/…", url)), ""
    return "problem", "DIGITFLOW_WEBHOOK is no http:// or https:// URL", "correct it, or unset it"


def _answers() -> bool:
    return isinstance(ask_server(configured_url(), "admin/version")[1], str)
