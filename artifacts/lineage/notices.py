"""Notices: what happened, posted to the URL in DIGITFLOW_WEBHOOK by a command that has no Prefect server.

Where a server is named, its automations post them; see deployments/automations.py. Both post the same JSON.
"""

import contextlib
import logging
import os
import queue
import threading
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

from artifacts.errors import hide_passwords

logger = logging.getLogger(__name__)

_posts: ContextVar[bool] = ContextVar("posts", default=False)
TIMEOUT = 5
"""Seconds to wait for the receiver. A run does not fail if it is not there."""


@contextlib.contextmanager
def posting(has_server: bool = False) -> Iterator[None]:
    """Inside, each notice is posted; so is an error that leaves the block, but not Ctrl-C. Not with a server."""
    token = _posts.set(not has_server)
    try:
        yield
    except Exception as error:
        what = hide_passwords(str(error)) or type(error).__name__
        post("digitflow.run.failed", "digitflow.command", {"error": what})
        raise
    finally:
        _posts.reset(token)


def post(event: str, resource: str, payload: dict[str, Any]) -> None:
    """Post a notice, where this process posts them at all and DIGITFLOW_WEBHOOK is set."""
    url = os.environ.get("DIGITFLOW_WEBHOOK")
    if not (url and _posts.get()):
        return
    flaws: queue.Queue[str] = queue.Queue()
    notice = {"event": event, "resource": resource, "payload": payload}
    threading.Thread(target=lambda: flaws.put(_send(url, notice)), daemon=True).start()
    try:  # a thread, because a receiver that sends a byte now and then keeps within every timeout of a request
        flaw = flaws.get(timeout=TIMEOUT)
    except queue.Empty:
        flaw = f"no answer in {TIMEOUT} s"
    if flaw:
        logger.warning("the webhook was not told of %s: %s", event, flaw)


def _send(url: str, notice: dict[str, Any]) -> str:
    """Why the receiver did not take a notice, without the URL, which may have a password or a token; "" if it did."""
    import httpx

    try:
        status = httpx.post(url, json=notice, timeout=TIMEOUT).status_code
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return type(error).__name__
    return "" if status < httpx.codes.BAD_REQUEST else f"HTTP status {status}"
