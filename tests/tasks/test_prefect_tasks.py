"""The locks that let two runs share one computation."""

import signal
import subprocess
import sys
import threading
from pathlib import Path

import cloudpickle

from artifacts.storage.settings import Settings
from tasks.experiments.trial import trial
from tasks.prefect_tasks import Locks

HOLD = """
import sys, time
from tasks.experiments.trial import trial
from tasks.prefect_tasks import Locks
locks = Locks()
assert locks.acquire_lock("key", "other")
print("held", flush=True)
time.sleep(600)
"""


def test_one_holder(home: Path) -> None:
    """Who holds a lock may take it again; nobody else may, in this process or through another manager."""
    first, second = Locks(), Locks()
    assert first.acquire_lock("key", "a") and first.acquire_lock("key", "a")
    assert not first.acquire_lock("key", "b", acquire_timeout=0.0)
    assert not second.acquire_lock("key", "a", acquire_timeout=0.0)
    assert second.is_locked("key") and first.is_lock_holder("key", "a") and not first.is_lock_holder("key", "b")
    assert second.acquire_lock("another key", "b", acquire_timeout=0.0)
    first.release_lock("key", "a")
    assert second.acquire_lock("key", "b", acquire_timeout=0.0)


def test_waiting(home: Path) -> None:
    """Who waits gets the lock when it is released."""
    holder, got = Locks(), threading.Event()
    holder.acquire_lock("key", "a")
    thread = threading.Thread(target=lambda: Locks().acquire_lock("key", "b") and got.set())
    thread.start()
    assert not got.wait(0.3)
    holder.release_lock("key", "a")
    assert got.wait(30)
    thread.join()


def test_killed_holder(home: Path) -> None:
    """kill -9 of the holder frees the lock at once."""
    holder = subprocess.Popen([sys.executable, "-c", HOLD], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None and holder.stdout.readline() == "held\n"
    assert not Locks().acquire_lock("key", "me", acquire_timeout=0.2)
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert Locks().acquire_lock("key", "me", acquire_timeout=1.0)
    assert (Settings.load().home / "locks").is_dir()


def test_steps_travel_by_name() -> None:
    """Steps, tasks and their functions are sent to another process by name, so that it uses its own code and locks."""
    for value in (trial, trial.fn, trial.task, trial.task.fn):
        assert cloudpickle.loads(cloudpickle.dumps(value)) is value
