"""Which Prefect server the user has named, what it answers, and how servers on this machine are reached."""

import contextlib
import logging
import os
import socket
import ssl
import sys
import time
from pathlib import Path
from typing import Any

from artifacts.errors import DigitflowError, UsageError, hide_passwords

LOOPBACK = ("127.0.0.1", "localhost", "::1")
STARTUP = 180
"""Seconds that a start may take; the first one creates the database."""
REFUSALS = (401, 403)
"""The HTTP statuses of a server whose password we do not have."""

_SETTINGS_FILES = (".env", "prefect.toml", "~/.prefect/profiles.toml")


def bypass_proxies() -> None:
    """Exempt this machine from proxies, for this process and its children: its servers are reached directly."""
    for name in ("NO_PROXY", "no_proxy"):
        os.environ[name] = ",".join(dict.fromkeys([*filter(None, os.environ.get(name, "").split(",")), *LOOPBACK]))


def is_server_configured() -> bool:
    """Whether the user has named a Prefect server, by environment, profile or settings file."""
    return bool(configured_url())


def configured_url() -> str:
    """The URL of the Prefect server that the user has named, by environment, profile or settings file; "" if none."""
    if url := os.environ.get("PREFECT_API_URL"):
        return url
    if not _has_settings_file():
        return ""
    from prefect.settings import PREFECT_API_URL

    return str(PREFECT_API_URL.value() or "")


def is_cache_refreshed() -> bool:
    """Whether the user has set Prefect to compute every step, by environment, profile or settings file."""
    if "PREFECT_TASKS_REFRESH_CACHE" not in os.environ and not _has_settings_file():
        return False
    from prefect.settings import PREFECT_TASKS_REFRESH_CACHE

    return bool(PREFECT_TASKS_REFRESH_CACHE.value())


def _has_settings_file() -> bool:
    """Whether Prefect may be configured by a file: only then is it imported to ask, which takes a second."""
    return any(Path(name).expanduser().exists() for name in _SETTINGS_FILES)


def flush_events() -> None:
    """Send the events and logs of this process that Prefect still buffers, if Prefect was used."""
    if "prefect.events.worker" in sys.modules:
        logging.getLogger("EventsWorker").setLevel(logging.ERROR)  # it would say how many are left
        from prefect.events.worker import EventsWorker
        from prefect.logging.handlers import APILogWorker

        EventsWorker.drain_all(timeout=5)
        APILogWorker.drain_all(timeout=5)


def require_scheme(url: str) -> None:
    """Raises UsageError unless the address of a server begins as one does."""
    if not url.startswith(("http://", "https://")):
        raise UsageError(
            f"PREFECT_API_URL is {hide_passwords(url)}; a server's address begins with http:// or https://"
        )


def describe_refusal(url: str, status: int) -> str:
    """Why a server that gives no version with this HTTP status cannot be used, and what to do."""
    shown = hide_passwords(url)
    if status in REFUSALS:
        return f"Prefect's server {shown} refuses us: {status}; set PREFECT_API_AUTH_STRING"
    way = (
        "another server"
        if url.rstrip("/").endswith("/api")
        else f"{shown.rstrip('/')}/api, if Prefect's server is there"
    )
    return (
        f"{shown} is not the API of a Prefect server: it answers {status}; name {way} in PREFECT_API_URL, or unset it"
    )


def await_configured_server() -> None:
    """Return if the configured server answers within 10 s and accepts our password. Raises DigitflowError."""
    import httpx
    from prefect.client.orchestration import get_client
    from prefect.exceptions import PrefectHTTPStatusError
    from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

    url = PREFECT_API_URL.value()
    require_scheme(url)
    try:
        with (
            temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}),
            get_client(sync_client=True, httpx_settings={"timeout": 10}) as client,
        ):
            client.api_version()  # which needs the password
    except (PrefectHTTPStatusError, ValueError) as error:
        status = error.response.status_code if isinstance(error, PrefectHTTPStatusError) else 200
        raise DigitflowError(describe_refusal(url, status)) from None
    except httpx.HTTPError as error:
        raise DigitflowError(
            f"Prefect's server {url} does not answer ({error}); start it, or unset PREFECT_API_URL to run without it; "
            "see: digitflow doctor"
        ) from None


def await_server(url: str) -> None:
    """Return when a server that is starting answers. Raises DigitflowError after STARTUP seconds."""
    import httpx

    deadline = time.monotonic() + STARTUP
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(f"{url}/health", timeout=5).is_success:
                return
        time.sleep(0.5)
    raise DigitflowError(
        f"Prefect's server {url} did not start; see logs/server.log in DIGITFLOW_HOME, and: digitflow doctor"
    )


def ask_server(url: str, what: str, body: Any = None) -> tuple[int, Any]:
    """The HTTP status and the JSON answer of a Prefect server; 0 and None if it does not answer, or not in JSON.

    This needs no Prefect, whose import takes a second. It sends our password, if there is one.
    """
    import httpx

    password = os.environ.get("PREFECT_API_AUTH_STRING", "")
    auth = httpx.BasicAuth(*password.split(":", 1)) if ":" in password else None
    key = os.environ.get("PREFECT_API_KEY")
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    method = "GET" if body is None else "POST"
    try:
        with httpx.Client(timeout=5, auth=auth, headers=headers, verify=_certificates()) as client:
            answer = client.request(method, f"{url.rstrip('/')}/{what}", json=body)
    except (httpx.HTTPError, httpx.InvalidURL, OSError):
        return 0, None
    try:
        return answer.status_code, answer.json() if answer.is_success else None
    except ValueError:
        return answer.status_code, None


def _certificates() -> ssl.SSLContext | bool:
    """What proves that an HTTPS server is the one that is meant: the variables that Prefect's own client reads."""
    if os.environ.get("PREFECT_API_TLS_INSECURE_SKIP_VERIFY", "").lower() in ("1", "true", "t", "yes", "y", "on"):
        return False
    file = os.environ.get("PREFECT_API_SSL_CERT_FILE")
    return ssl.create_default_context(cafile=file) if file else True


def _is_taken(port: int) -> bool:
    """Whether a program listens on a port of this machine."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError:
        return False
    return True


def port_file(home: Path) -> Path:
    """Where the port of a home's server stands, which `make up` writes."""
    return home / "server" / "port"


def url_of_home(home: Path) -> str:
    """The URL of this home's own server, if `make up` keeps one and it answers; else ""."""
    with contextlib.suppress(OSError, ValueError):
        port = int(port_file(home).read_text())
        if _is_taken(port) and not owner_of_port(port, home):
            return f"http://127.0.0.1:{port}/api"
    return ""


def owner_of_port(port: int, home: Path) -> str:
    """What answers on a port of this machine, in words, if it is not this home's server; "" if it is, or nothing is."""
    status, settings = ask_server(f"http://127.0.0.1:{port}/api", "admin/settings")
    if status == 0:
        return "another program, which does not answer" if _is_taken(port) else ""
    if status in REFUSALS:
        return "a Prefect server with another password"
    if not isinstance(settings, dict) or "home" not in settings:
        return "another program"
    theirs = settings["home"]
    return "" if Path(theirs) == home / "server" else f"the Prefect server whose PREFECT_HOME is {theirs}"
