"""A transfer from a mirror resumes and is bounded, and whether a mirror answers at all is known in time."""

import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from artifacts.errors import BadSource, Unreachable
from artifacts.storage.store import Store
from tasks.data.datasets import FILES, Source
from tasks.data.download import download
from tasks.data.mirrors import unanswered
from tests.conftest import Arrays
from tests.tasks.data.conftest import is_digits
from tests.tasks.data.mirror_server import LIMIT, Answer, Mirror, at, endless, first, good, hangs_up, resumable, status

pytestmark = pytest.mark.usefixtures("no_waiting")


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
