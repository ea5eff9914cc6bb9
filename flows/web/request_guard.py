"""Which requests reach the app? Small ones, not too many, from the app's own page or from no page at all."""

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY = 8 << 20
"""Bytes of a body at most."""
RATE, BURST = 30, 60
"""Posts a second in the long run, and at once."""
BODY_TIMEOUT = 10
"""Seconds in which a body must have arrived."""

Refusal = tuple[int, str]
"""HTTP status and reason."""
TOO_LARGE: Refusal = 413, f"the body is larger than {MAX_BODY:,} bytes"


class RequestGuard:
    """ASGI middleware that refuses unsuitable requests, and calls `count(path, status)` for every answer.

    A page elsewhere could post to loopback from the user's browser: bodies other than JSON, and other origins, are
    refused. Starlette's TrustedHostMiddleware refuses other hosts, which protects from DNS rebinding.
    """

    def __init__(self, app: "ASGIApp", count: Callable[[str, int], None], clock: Callable[[], float] = time.monotonic):
        self._app, self._count, self._clock = app, count, clock
        self._tokens, self._filled = float(BURST), clock()

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        send = self._counting(scope["path"], send)
        if scope["method"] in ("GET", "HEAD"):
            return await self._app(scope, receive, send)
        refusal, body = self._refusal(scope), b""
        if not refusal:
            refusal, body = await _read_body(receive)
        if refusal:
            return await _answer(refusal)(scope, receive, send)
        await self._app(scope, _replay(body, receive), send)

    def _counting(self, path: str, send: "Send") -> "Send":
        async def send_and_count(message: "Message") -> None:
            if message["type"] == "http.response.start":
                self._count(path, message["status"])
            await send(message)

        return send_and_count

    def _refusal(self, scope: "Scope") -> Refusal | None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        own = f"http://{headers.get('host')}"
        if headers.get("origin", own) != own or headers.get("sec-fetch-site", "same-origin") != "same-origin":
            return 403, "requests from other pages are refused"
        if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            return 415, "the content type must be application/json"
        if int(headers.get("content-length", "0")) > MAX_BODY:
            return TOO_LARGE
        return None if self._has_token() else (429, f"more than {RATE} requests a second; wait a moment")

    def _has_token(self) -> bool:
        now = self._clock()
        self._tokens = min(BURST, self._tokens + (now - self._filled) * RATE)
        self._filled = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


async def _read_body(receive: "Receive") -> tuple[Refusal | None, bytes]:
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_TIMEOUT):
            while True:
                message = await receive()
                body += message.get("body", b"")
                if len(body) > MAX_BODY:
                    return TOO_LARGE, b""
                if message["type"] == "http.disconnect" or not message.get("more_body"):
                    return None, bytes(body)
    except TimeoutError:
        return (408, f"the body took longer than {BODY_TIMEOUT} s"), b""


def _replay(body: bytes, receive: "Receive") -> "Receive":
    """A channel that gives the body that was read already, and then what `receive` gives."""
    parts = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def replay() -> Any:
        return next(parts, None) or await receive()

    return replay


def _answer(refusal: Refusal) -> "ASGIApp":
    from starlette.responses import JSONResponse

    status, reason = refusal
    return JSONResponse({"error": reason}, status, {"Retry-After": "1"} if status == 429 else None)
