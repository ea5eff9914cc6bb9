"""Workers answer requests, report errors, and end with the process that started them."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from artifacts.errors import DigitflowError
from tasks.training.workers import ONE_THREAD, Reply, Request, ask_idle_worker, serve, stop_workers
from tests.command import ROOT

PARENT = """
import threading, time
from tasks.training.workers import Worker

busy, idle = (Worker("tests.tasks.training.test_workers") for _ in range(2))
print(busy.ask({})["pid"], idle.ask({})["pid"], flush=True)
threading.Thread(target=busy.ask, args=({"sleep": 600},), daemon=True).start()
time.sleep(600)
"""
MODULE = "tests.tasks.training.test_workers"


def answer(request: Request) -> Reply:
    if "error" in request:
        raise DigitflowError(request["error"])
    if "status" in request:
        os._exit(request["status"])
    print("noise on stdout")
    time.sleep(request.get("sleep", 0))
    return {"pid": os.getpid(), "threads": [os.environ.get(name) for name in ONE_THREAD]}


@pytest.fixture(autouse=True)
def no_workers_left() -> Iterator[None]:
    yield
    stop_workers()


def test_idle_workers_are_reused() -> None:
    """An idle worker answers the next request, with a single thread; prints do not disturb its replies."""
    first, second = ask_idle_worker(MODULE, {}), ask_idle_worker(MODULE, {})
    assert first == second and first["threads"] == ["1"] * len(ONE_THREAD)
    stop_workers()
    assert ask_idle_worker(MODULE, {})["pid"] != first["pid"]


def test_errors_arrive() -> None:
    """A DigitflowError in the worker is raised here, and the worker stays; one that ends is replaced."""
    pid = ask_idle_worker(MODULE, {})["pid"]
    with pytest.raises(DigitflowError, match=r"^the disk is full$"):
        ask_idle_worker(MODULE, {"error": "the disk is full"})
    assert ask_idle_worker(MODULE, {})["pid"] == pid
    with pytest.raises(DigitflowError, match=f"{MODULE}: its process ended with status 3"):
        ask_idle_worker(MODULE, {"status": 3})
    assert ask_idle_worker(MODULE, {})["pid"] != pid


def test_end_with_their_parent() -> None:
    """Workers, idle or in the middle of an answer, end when the process that started them is killed with SIGKILL."""
    parent = subprocess.Popen([sys.executable, "-c", PARENT], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert parent.stdout
    pids = [int(pid) for pid in parent.stdout.readline().split()]
    time.sleep(0.5)
    assert len(pids) == 2 and all(map(is_running, pids))
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    deadline = time.monotonic() + 10
    while any(map(is_running, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(is_running, pids))


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


if __name__ == "__main__":
    serve(answer)
