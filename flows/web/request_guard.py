"""What a request must be before the app sees it: small, not too frequent, and from this page or no page at all."""

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY = 8 << 20
RATE, BURST = 30, 60
"""Posts a second in the long run, and at once."""
PATIENCE = 10
"""Seconds in which a body must have arrived."""

Refusal = tuple[int, str]


class RequestGuard:
    """ASGI middleware that answers what the app shall not see, and tells `count(path, status)` of every answer.

    A page elsewhere could post to loopback from the user's browser: what is not JSON, or comes from another origin, is
    refused. (That the host is ours, which rebinding DNS would not spare, Starlette's TrustedHostMiddleware checks.)
    """

    def __init__(self, app: "ASGIApp", count: Callable[[str, int], None], clock: Callable[[], float] = time.monotonic):
        self._app, self._count, self._clock = app, count, clock
        self._tokens, self._filled = float(BURST), clock()

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)

        async def counted(message: "Message") -> None:
            if message["type"] == "http.response.start":
                self._count(scope["path"], message["status"])
            await send(message)

        if scope["method"] in ("GET", "HEAD"):
            return await self._app(scope, receive, counted)
        refusal, body = self._refused(scope), b""
        if not refusal:
            refusal, body = await _body(receive)
        if refusal:
            from starlette.responses import JSONResponse

            status, why = refusal
            return await JSONResponse({"error": why}, status, {"Retry-After": "1"} if status == 429 else None)(
                scope, receive, counted
            )

        parts = iter([{"type": "http.request", "body": body, "more_body": False}])

        async def replay() -> Any:
            return next(parts, None) or await receive()

        await self._app(scope, replay, counted)

    def _refused(self, scope: "Scope") -> Refusal | None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        own = f"http://{headers.get('host')}"
        if headers.get("origin", own) != own or headers.get("sec-fetch-site", "same-origin") != "same-origin":
            return 403, "requests from other pages are refused"
        if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            return 415, "the content type must be application/json"
        if int(headers.get("content-length", "0")) > MAX_BODY:
            return 413, f"the body is larger than {MAX_BODY:,} bytes"
        return None if self._has_token() else (429, f"more than {RATE} requests a second; wait a moment")

    def _has_token(self) -> bool:
        now = self._clock()
        self._tokens = min(BURST, self._tokens + (now - self._filled) * RATE)
        self._filled = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


async def _body(receive: "Receive") -> tuple[Refusal | None, bytes]:
    body = bytearray()
    try:
        async with asyncio.timeout(PATIENCE):
            while True:
                message = await receive()
                body += message.get("body", b"")
                if len(body) > MAX_BODY:
                    return (413, f"the body is larger than {MAX_BODY:,} bytes"), b""
                if message["type"] == "http.disconnect" or not message.get("more_body"):
                    return None, bytes(body)
    except TimeoutError:
        return (408, f"the body took longer than {PATIENCE} s"), b""
