"""Which Prefect server the user has named, what it answers, and how servers on this machine are reached."""

import contextlib
import logging
import os
import socket
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from artifacts.errors import DigitflowError, UsageError, hide_passwords

if TYPE_CHECKING:
    import ssl

LOOPBACK = ("127.0.0.1", "localhost", "::1")
STARTUP = 180
"""Seconds that a start may take; the first one creates the database."""
REFUSALS = (401, 403)
"""The HTTP statuses of a server whose password we do not have."""

_YES = ("1", "true", "t", "yes", "y", "on")  # for pydantic, and so for Prefect
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


def require_address(url: str) -> None:
    """Raises UsageError unless this can be the address of a server."""
    try:
        is_address = bool(urlsplit(url).hostname) and (urlsplit(url).port or True)
    except ValueError:
        is_address = False
    if not (is_address and url.startswith(("http://", "https://"))):
        shown = hide_passwords(url)
        raise UsageError(f"PREFECT_API_URL is {shown}, no address of a server, such as http://127.0.0.1:4200/api")


def describe_refusal(url: str, status: int) -> str:
    """Why a server that gives no version with this HTTP status cannot be used, and what to do."""
    shown = hide_passwords(url)
    if status in REFUSALS:
        return f"Prefect's server {shown} refuses us: {status}; set PREFECT_API_AUTH_STRING"
    if status >= 500 or status == 429:
        return f"Prefect's server {shown} answers {status}; see its log, and whether its disk is full"
    way = "another server" if url.rstrip("/").endswith("/api") else f"{shown.rstrip('/')}/api, if Prefect's is there"
    return (
        f"{shown} is not the API of a Prefect server: it answers {status}; name {way} in PREFECT_API_URL, or unset it"
    )


def await_configured_server() -> None:
    """Return if the configured server answers within 10 s, accepts our password and understands us.

    Raises DigitflowError.
    """
    if named := os.environ.get("PREFECT_API_URL"):
        require_address(named)  # of others, Prefect's settings make a traceback
    import httpx
    import prefect
    from prefect.settings import get_current_settings

    of_api, shown = get_current_settings().api, hide_passwords(get_current_settings().api.url or "")
    password, key = (secret.get_secret_value() if secret else None for secret in (of_api.auth_string, of_api.key))
    try:
        status, theirs = _ask(
            f"{of_api.url}/admin/version",
            password=password,
            key=key,
            headers=get_current_settings().client.custom_headers,
            verify=_verification(of_api.ssl_cert_file, is_waived=of_api.tls_insecure_skip_verify),
            timeout=10,
        )
    except (httpx.HTTPError, OSError, ValueError) as error:
        raise DigitflowError(
            f"Prefect's server {shown} does not answer ({error}); start it, or unset PREFECT_API_URL to run without "
            "it; see: digitflow doctor"
        ) from None
    if not (isinstance(theirs, str) and theirs[:1].isdecimal()):
        raise DigitflowError(describe_refusal(shown, status))
    ours = prefect.__version__
    if theirs.partition(".")[0] != ours.partition(".")[0]:
        raise DigitflowError(f"{shown} has Prefect {theirs}, and this is {ours}; install the same in both places")


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

    is_waived = os.environ.get("PREFECT_API_TLS_INSECURE_SKIP_VERIFY", "").lower() in _YES
    try:
        return _ask(
            f"{url.rstrip('/')}/{what}",
            body,
            password=os.environ.get("PREFECT_API_AUTH_STRING"),
            key=os.environ.get("PREFECT_API_KEY"),
            verify=_verification(os.environ.get("PREFECT_API_SSL_CERT_FILE"), is_waived=is_waived),
        )
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError):
        return 0, None


def _ask(
    url: str,
    body: Any = None,
    *,
    password: str | None,
    key: str | None,
    verify: "ssl.SSLContext | bool",
    headers: Mapping[str, str] | None = None,
    timeout: float = 5,
) -> tuple[int, Any]:
    """The HTTP status and the JSON answer, None if it is no JSON. Raises httpx.HTTPError, OSError and ValueError."""
    import httpx

    auth = httpx.BasicAuth(*password.split(":", 1)) if password and ":" in password else None
    own = {"Authorization": f"Bearer {key}"} if key else {}
    verify = url.startswith("https://") and verify  # of plain HTTP, no file of certificates is read
    with httpx.Client(timeout=timeout, auth=auth, headers={**own, **(headers or {})}, verify=verify) as client:
        answer = client.request("GET" if body is None else "POST", url, json=body)
    try:
        return answer.status_code, answer.json() if answer.is_success else None
    except ValueError:
        return answer.status_code, None


def _verification(certificates: str | None, *, is_waived: bool) -> "ssl.SSLContext | bool":
    """What proves that an HTTPS server is the one that is meant, as Prefect's own client takes it. Raises OSError."""
    if is_waived or not certificates:
        return not is_waived
    import ssl

    try:
        return ssl.create_default_context(cafile=certificates)
    except OSError as error:
        raise OSError(f"PREFECT_API_SSL_CERT_FILE is {certificates}, no file of certificates: {error}") from None


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
