"""A download gives exactly the expected content, or an error with the reason of each mirror."""

import gzip
import hashlib
import http.server
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
import stamina

from artifacts.errors import BadSource, Unreachable
from artifacts.storage.store import Store
from tasks.data import idx
from tasks.data.datasets import FILES, SAMPLE_SOURCE, Mirrors, Source, Splits
from tasks.data.download import download
from tasks.data.mirrors import unanswered
from tests.conftest import Arrays, write_idx

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


REFUSED: dict[str, tuple[Answer, str]] = {
    "not found": (status(404), "HTTP status 404"),
    "always busy": (status(503), "HTTP status 503"),
    "page": (page, "its content has SHA-256"),
    "wrong content": (other, "its content has SHA-256"),
    "truncated": (truncated, "not a whole gzip file"),
    "hangs up": (hangs_up, "without sending complete message"),
    "endless": (endless, "serves more than 1,000,000 bytes"),
    "gzip bomb": (bomb, "unpacks to more than 1,000,000 bytes"),
    "silent": (silent, "timed out"),
}


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


@pytest.fixture
def served(digits: Arrays) -> dict[str, bytes]:
    return {f"/{name}.gz": gzip.compress(idx.encode(array)) for name, array in zip(FILES, digits, strict=True)}


@pytest.fixture
def source(digits: Arrays) -> Source:
    digests = [hashlib.sha256(idx.encode(array)).hexdigest() for array in digits]
    return Source.model_validate({"name": "digits", "digests": digests})


@pytest.fixture
def mirror(served: dict[str, bytes]) -> Iterator[Callable[[Answer], Mirror]]:
    """Start a mirror that answers in a given way."""
    with ExitStack() as stack:

        def start(answer: Answer) -> Mirror:
            server = Mirror(served, answer)
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
            stack.callback(server.server_close)
            stack.callback(server.shutdown)
            return server

        yield start


@pytest.fixture(autouse=True)
def no_waiting() -> Iterator[None]:
    """Three attempts, no pause between them."""
    with stamina.set_testing(True, attempts=3, cap=True):
        yield


@pytest.fixture
def refused_port() -> str:
    """A URL that refuses connections."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"http://127.0.0.1:{server.getsockname()[1]}/"


def at(*urls: str) -> Mirrors:
    return Mirrors(urls=urls, timeout=0.3, max_file_bytes=LIMIT)


def is_digits(splits: Splits, digits: Arrays, store: Store) -> bool:
    refs = (splits.train.images, splits.train.labels, splits.test.images, splits.test.labels)
    return all(np.array_equal(store.get(ref), array) for ref, array in zip(refs, digits, strict=True))


def leftovers(store: Store) -> list[Path]:
    return list((store.home / "tmp").iterdir())


def test_first_good_mirror_is_used(
    mirror: Callable[[Answer], Mirror], source: Source, store: Store, digits: Arrays
) -> None:
    """Each file is asked for once, at the first mirror, and arrives as it was sent."""
    one, two = mirror(good), mirror(good)
    assert is_digits(download.fn(source, at(one.url, two.url), store), digits, store)
    assert one.asked == [(f"/{name}.gz", None) for name in FILES]
    assert two.asked == []
    assert not leftovers(store)


@pytest.mark.parametrize("fault", REFUSED)
def test_bad_mirror_is_passed_over(
    fault: str, mirror: Callable[[Answer], Mirror], source: Source, store: Store, digits: Arrays
) -> None:
    """A mirror that serves anything but the promised content is refused, and the next one is tried."""
    bad, next_one = mirror(REFUSED[fault][0]), mirror(good)
    assert is_digits(download.fn(source, at(bad.url, next_one.url), store), digits, store)
    assert len(bad.asked) >= len(FILES)
    assert not leftovers(store)


def test_error_names_each_mirror(
    mirror: Callable[[Answer], Mirror], source: Source, store: Store, refused_port: str
) -> None:
    """If all mirrors fail, the error says for each what was wrong with it, and nothing is kept."""
    mirrors = {mirror(answer).url: reason for answer, reason in REFUSED.values()} | {refused_port: "refused"}
    with pytest.raises(BadSource) as caught:
        download.fn(source, at(*mirrors), store)
    message = str(caught.value)
    for url, reason in mirrors.items():
        assert reason in message.split(url)[1].split("http://")[0]
    assert not leftovers(store) and not (store.home / "objects").exists()


def test_limit_bounds_what_is_read(mirror: Callable[[Answer], Mirror], source: Source, store: Store) -> None:
    """Of an endless body, little more than the limit is read."""
    server = mirror(endless)
    with pytest.raises(BadSource):
        download.fn(source, at(server.url), store)
    assert server.served < LIMIT + 16_000_000  # what the sockets' buffers hold


def test_broken_transfer_is_resumed(
    mirror: Callable[[Answer], Mirror], source: Source, store: Store, digits: Arrays, served: dict[str, bytes]
) -> None:
    """After a break, only the missing bytes are asked for and sent."""
    server = mirror(resumable)
    assert is_digits(download.fn(source, at(server.url), store), digits, store)
    assert server.served == sum(map(len, served.values()))
    halves = [f"bytes={len(data) // 2}-" for data in served.values()]
    assert [asked for _, asked in server.asked] == [asked for half in halves for asked in (None, half)]


def test_broken_transfer_restarts_without_range(
    mirror: Callable[[Answer], Mirror], source: Source, store: Store, digits: Arrays
) -> None:
    """If a server answers a Range with the whole file, the file is taken from its start."""
    server = mirror(first(hangs_up))
    assert is_digits(download.fn(source, at(server.url), store), digits, store)
    assert server.asked[1][1] is not None


@pytest.mark.parametrize("code", [429, 500, 502, 503])
def test_busy_server_is_asked_again(
    code: int, mirror: Callable[[Answer], Mirror], source: Source, store: Store, digits: Arrays
) -> None:
    """A server that is busy twice serves at the third request."""
    server = mirror(first(status(code), times=2))
    assert is_digits(download.fn(source, at(server.url), store), digits, store)
    assert len(server.asked) == len(FILES) + 2


@pytest.mark.parametrize(("code", "times"), [(404, 1), (403, 1), (503, 3)])
def test_requests_are_counted(
    code: int, times: int, mirror: Callable[[Answer], Mirror], source: Source, store: Store
) -> None:
    """A permanent failure is requested once, a transient one `attempts` times."""
    server = mirror(status(code))
    with pytest.raises(BadSource, match=str(code)):
        download.fn(source, at(server.url), store)
    assert len(server.asked) == times


def test_refused_connection_is_unreachable(
    source: Source, store: Store, refused_port: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refused connection is tried once, and the error type says that no mirror answered."""
    tries = []
    connect = socket.socket.connect
    monkeypatch.setattr(socket.socket, "connect", lambda *args: tries.append(args) or connect(*args))
    with pytest.raises(Unreachable, match="no mirror serves train-images-idx3-ubyte"):
        download.fn(source, at(refused_port), store)
    assert len(tries) == 1


@pytest.mark.parametrize("packed", [True, False])
def test_folder_is_a_mirror(packed: bool, tmp_path: Path, source: Source, store: Store, digits: Arrays) -> None:
    """A file:// mirror serves files, gzipped or not, also below a name that a URL must quote."""
    folder = write_idx(tmp_path / "my digits, 100%", digits, packed)
    assert is_digits(download.fn(source, at(folder.as_uri() + "/"), store), digits, store)
    assert not leftovers(store)


@pytest.mark.parametrize("number", range(len(FILES)))
def test_folder_that_lacks_a_file(number: int, digits_folder: Path, source: Source, store: Store) -> None:
    """The error names the folder and the file it lacks."""
    (digits_folder / f"{FILES[number]}.gz").unlink()
    with pytest.raises(BadSource, match=f"{digits_folder} has neither {FILES[number]} nor {FILES[number]}.gz"):
        download.fn(source, at(digits_folder.as_uri() + "/"), store)
    assert not leftovers(store)


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs a file that even root cannot read")
def test_unreadable_file_is_a_bad_source(digits_folder: Path, source: Source, store: Store) -> None:
    """The error about a file that cannot be read names the file, and is not that of a full disk."""
    (digits_folder / f"{FILES[0]}.gz").unlink()
    (digits_folder / FILES[0]).symlink_to("/proc/self/mem")
    with pytest.raises(BadSource, match=f"{FILES[0]} cannot be read"):
        download.fn(source, at(digits_folder.as_uri() + "/"), store)


@pytest.mark.parametrize("shape", [b"\xff" * 12, b"\x00\x00\x05\xdc\x00\x00\x00\x00\x00\x00\x00\x08"])
def test_header_must_fit_the_file(shape: bytes, tmp_path: Path, store: Store, digits: Arrays) -> None:
    """A header that declares more or fewer bytes than the file holds is refused, whatever its digest."""
    folder = write_idx(tmp_path / "bad", digits, packed=False)
    path = folder / FILES[0]
    path.write_bytes(path.read_bytes()[:4] + shape + path.read_bytes()[16:])
    digests = [hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in FILES]
    with pytest.raises(BadSource, match=f"{FILES[0]} declares .*(but holds 96,000|too large)"):
        download.fn(Source.model_validate({"name": "bad", "digests": digests}), at(folder.as_uri() + "/"), store)
    assert not leftovers(store)


@pytest.mark.parametrize("answer", [good, status(404), status(500)])
def test_any_answer_is_reachable(answer: Answer, mirror: Callable[[Answer], Mirror], refused_port: str) -> None:
    """One mirror that answers, with whatever, makes the set reachable; refused connections do not."""
    assert not unanswered(at(refused_port, mirror(answer).url), within=5.0)
    assert unanswered(at(refused_port), within=5.0)


def test_folder_is_reachable_if_there(tmp_path: Path) -> None:
    """A file:// mirror is reachable if its folder exists."""
    assert not unanswered(at(tmp_path.as_uri() + "/"), within=5.0)
    assert unanswered(at((tmp_path / "absent").as_uri() + "/"), within=5.0)


def test_deadline_holds_where_nothing_answers() -> None:
    """A server that accepts and stays silent does not delay the verdict beyond the deadline."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        started = time.monotonic()
        assert unanswered(at(f"http://127.0.0.1:{server.getsockname()[1]}/"), within=0.5)
    assert time.monotonic() - started < 5


def test_deadline_holds_where_look_ups_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name look-up that hangs, as where packets vanish, does not delay the verdict beyond the deadline."""
    released = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: released.wait(60) and [])
    started = time.monotonic()
    assert unanswered(at("http://one.invalid/", "http://two.invalid/"), within=0.5)
    assert time.monotonic() - started < 5
    released.set()


def test_sample_needs_no_mirror(store: Store) -> None:
    """The sample comes from an installed package: 4,000 and 1,000 images, every digit equally often."""
    splits = download.fn(SAMPLE_SOURCE, Mirrors(urls=()), store)
    for split, each in ((splits.train, 400), (splits.test, 100)):
        assert store.get(split.images).shape == (10 * each, 28, 28)
        assert np.bincount(store.get(split.labels)).tolist() == [each] * 10
