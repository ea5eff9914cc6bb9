"""Notices: what happened, posted to the URL in DIGITFLOW_WEBHOOK by a command that has no Prefect server.

Where a server is named, its automations post them; see deployments/automations.py. Both post the same JSON.
"""

import contextlib
import logging
import os
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

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
        post("digitflow.run.failed", "digitflow.command", {"error": str(error) or type(error).__name__})
        raise
    finally:
        _posts.reset(token)


def post(event: str, resource: str, payload: dict[str, Any]) -> None:
    """Post a notice, where this process posts them at all and DIGITFLOW_WEBHOOK is set."""
    url = os.environ.get("DIGITFLOW_WEBHOOK")
    if not (url and _posts.get()):
        return
    import httpx

    try:
        notice = {"event": event, "resource": resource, "payload": payload}
        httpx.post(url, json=notice, timeout=TIMEOUT).raise_for_status()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        logger.warning("the webhook was not told of %s: %s", event, error or type(error).__name__)
