"""A mirror on loopback and the ways in which it answers, good and bad."""

import gzip
import http.server
import time
from collections.abc import Callable

import numpy as np

from tasks.data import idx
from tasks.data.datasets import Mirrors

LIMIT = 1_000_000
"""More than any file of the digits, packed or not."""


class Mirror(http.server.ThreadingHTTPServer):
    """A loopback server of gzipped files whose way to answer can be set; it notes what it was asked for."""

    def __init__(self, files: dict[str, bytes], answer: "Answer"):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files, self.answer = files, answer
        self.asked: list[tuple[str, str | None]] = []
        self.served = 0
        self.url = f"http://127.0.0.1:{self.server_port}/"

    def handle_error(self, *_: object) -> None:
        """A client that hangs up is part of the game."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Mirror

    def do_GET(self) -> None:
        self.close_connection = True
        self.server.asked.append((self.path, self.headers["Range"]))
        self.server.answer(self, self.server.files[self.path])

    do_HEAD = do_GET  # noqa: N815

    def head(self, status: int, length: int | None) -> None:
        self.send_response(status)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()

    def body(self, data: bytes) -> None:
        self.wfile.write(data)
        self.wfile.flush()
        self.server.served += len(data)

    def log_message(self, *_: object) -> None:
        pass


Answer = Callable[[_Handler, bytes], None]


def good(handler: _Handler, data: bytes) -> None:
    handler.head(200, len(data))
    handler.body(data)


def status(code: int) -> Answer:
    return lambda handler, data: handler.head(code, 0)


def page(handler: _Handler, data: bytes) -> None:
    good(handler, b"<!doctype html><title>Please log in</title>")


def other(handler: _Handler, data: bytes) -> None:
    good(handler, gzip.compress(idx.encode(np.zeros((2, 8, 8), np.uint8))))


def truncated(handler: _Handler, data: bytes) -> None:
    """The stream ends early, without a declared length."""
    handler.head(200, None)
    handler.body(data[: len(data) // 2])


def hangs_up(handler: _Handler, data: bytes) -> None:
    """The connection breaks halfway, each time."""
    handler.head(200, len(data))
    handler.body(data[: len(data) // 2])


def endless(handler: _Handler, data: bytes) -> None:
    handler.head(200, None)
    while True:
        handler.body(bytes(65536))


def bomb(handler: _Handler, data: bytes) -> None:
    good(handler, gzip.compress(bytes(20 * LIMIT)))


def silent(handler: _Handler, data: bytes) -> None:
    time.sleep(1)


def first(bad: Answer, times: int = 1) -> Answer:
    """`bad` for the first requests, then good."""
    left = [times]

    def answer(handler: _Handler, data: bytes) -> None:
        left[0] -= 1
        (bad if left[0] >= 0 else good)(handler, data)

    return answer


def resumable(handler: _Handler, data: bytes) -> None:
    """Sends half of what is asked for the first time, the rest when asked again with a Range."""
    if not (asked := handler.headers["Range"]):
        hangs_up(handler, data)
        return
    start = int(asked.removeprefix("bytes=").removesuffix("-"))
    handler.head(206, len(data) - start)
    handler.body(data[start:])


def at(*urls: str) -> Mirrors:
    return Mirrors(urls=urls, timeout=0.3, max_file_bytes=LIMIT)
