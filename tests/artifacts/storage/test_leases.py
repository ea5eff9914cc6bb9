"""Locks that machines share through a Redis server."""

import contextlib
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from filelock import Timeout
from prefect import flow
from redis import Redis

from artifacts.errors import DigitflowError, LeaseLost, UsageError
from artifacts.storage import leases
from artifacts.storage.leases import LeasedLock, leased, require_lease
from artifacts.storage.settings import Settings
from artifacts.storage.store import Store
from tasks.data import normalise
from tasks.data.datasets import Splits
from tasks.prefect_tasks import Locks
from tests.command import eventually

HOLD = """
import sys, time
from artifacts.storage import leases
leases.LEASE = 3.0
leases.LeasedLock(sys.argv[1], "key").acquire()
print("held", flush=True)
time.sleep(600)
"""


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Redis server on a socket of its own."""
    socket = tmp_path_factory.mktemp("redis") / "socket"
    command = ["redis-server", "--port", "0", "--unixsocket", str(socket), "--save", ""]
    with subprocess.Popen(command, cwd=socket.parent, stdout=subprocess.DEVNULL) as server:
        assert eventually(socket.exists, 30)
        yield f"unix://{socket}"
        server.kill()


@contextlib.contextmanager
def other_machine(url: str) -> Iterator["subprocess.Popen[str]"]:
    """A process that holds the lock `key`, with a lease of three seconds."""
    with subprocess.Popen([sys.executable, "-c", HOLD, url], stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout is not None and holder.stdout.readline() == "held\n"
            yield holder
        finally:
            holder.kill()


@pytest.mark.redis
def test_one_holder(url: str) -> None:
    """While a lock is held nobody else gets it; when it is given back, the next one does."""
    first = LeasedLock(url, "one").acquire()
    with pytest.raises(Timeout):
        LeasedLock(url, "one").acquire(timeout=0.0)
    with pytest.raises(Timeout):
        LeasedLock(url, "one").acquire(timeout=0.3)
    LeasedLock(url, "another").acquire(timeout=0.0).release()
    first.release()
    LeasedLock(url, "one").acquire(timeout=0.0).release()


@pytest.mark.redis
def test_lease_is_renewed_and_ends_with_its_holder(url: str) -> None:
    """A lock is held for longer than its lease while its holder lives, and is free soon after kill -9."""
    with other_machine(url) as holder:
        with pytest.raises(Timeout):
            LeasedLock(url, "key").acquire(timeout=5.0)
        holder.send_signal(signal.SIGKILL)
        LeasedLock(url, "key").acquire(timeout=30.0).release()


@pytest.mark.redis
def test_holder_that_was_stopped(url: str) -> None:
    """A holder that was stopped for longer than its lease has lost the lock, and does not take it from the next."""
    with other_machine(url) as holder:
        holder.send_signal(signal.SIGSTOP)
        mine = LeasedLock(url, "key").acquire(timeout=30.0)
        holder.send_signal(signal.SIGCONT)
        with pytest.raises(Timeout):
            LeasedLock(url, "key").acquire(timeout=2.0)
        mine.release()


@pytest.mark.redis
def test_nested_use_is_one_lock(url: str) -> None:
    """A thread takes a lock again that it holds, and gives it back once; another thread waits."""
    inside = threading.Event()

    def take() -> None:
        with leased(url, "nested"):
            inside.set()

    with ThreadPoolExecutor() as pool:
        with leased(url, "nested"), leased(url, "nested"):
            pool.submit(take)
            assert not inside.wait(0.5)
        assert inside.wait(10)


@pytest.mark.redis
def test_steps_use_them(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With DIGITFLOW_LOCKS, the locks of steps are those of all machines that name the same server."""
    monkeypatch.setenv("DIGITFLOW_LOCKS", url)
    first, second = Locks(), Locks()
    assert first.acquire_lock("step", "a") and not second.acquire_lock("step", "b", acquire_timeout=0.0)
    assert second.is_locked("step")
    first.release_lock("step", "a")
    assert second.acquire_lock("step", "b", acquire_timeout=0.0)
    second.release_lock("step", "b")
    assert not (Settings.load().home / "locks").exists()


def test_no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that does not answer is an error that names the setting; so is an address of another kind."""
    with pytest.raises(DigitflowError, match=r"redis://127.0.0.1:9 cannot be used: .* DIGITFLOW_LOCKS"):
        LeasedLock("redis://127.0.0.1:9", "key").acquire()
    monkeypatch.setenv("DIGITFLOW_LOCKS", "http://127.0.0.1")
    with pytest.raises(UsageError, match=r"DIGITFLOW_LOCKS='http://127.0.0.1'"):
        Settings.load()


@pytest.mark.redis
def test_lost_lease_is_known(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who lost a lock learns it before going on: the one whose lock another took, at the next renewal, and the one that
    could not renew it, when the lease has run out. What was given back, or never taken, cannot be lost."""
    monkeypatch.setattr(leases, "LEASE", 3.0)
    lock = LeasedLock(url, "lost").acquire()
    require_lease("lost")
    Redis.from_url(url).set("digitflow:lost", "another's")
    assert eventually(lambda: lock.is_lost, 30)
    with pytest.raises(LeaseLost, match="the lock lost was lost"):
        require_lease("lost")
    lock.release()
    require_lease("lost")
    kept = LeasedLock(url, "kept").acquire()
    monkeypatch.setattr(leases, "_now", lambda: time.monotonic() + 10**9)
    with pytest.raises(LeaseLost):
        require_lease("kept")
    kept.release()


@pytest.mark.redis
@pytest.mark.prefect
def test_a_step_that_lost_its_lock(url: str, api: str, monkeypatch: pytest.MonkeyPatch, store: Store) -> None:
    """A step that lost its lock while it computed keeps nothing of it: it waits for the lock again, and the cache gets
    what it then computes."""
    monkeypatch.setenv("DIGITFLOW_LOCKS", url)
    images, labels = store.put(np.zeros((3, 8, 8), np.uint8)), store.put(np.zeros(3, np.uint8))
    data = Splits.of(images, labels, images, labels)
    rescale, calls = normalise.rescale, []

    def losing_the_lock(*arguments: Any) -> Any:
        calls.append(1)
        if len(calls) == 1:
            (lock,) = leases._taken.values()
            lock._renewed -= leases.LEASE
        return rescale(*arguments)

    monkeypatch.setattr(normalise, "rescale", losing_the_lock)

    @flow
    def run() -> list[str]:
        states = [normalise.normalise_and_reshape.task(data, store, return_state=True) for _ in range(2)]
        return [str(state.name) for state in states]

    assert (run(), len(calls)) == (["Completed", "Cached"], 4)  # two splits, twice
