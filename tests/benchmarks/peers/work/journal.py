"""What the steps did, as lines of JSON in the file that PEERS_JOURNAL names, and the two places where they can die."""

import ctypes
import hashlib
import json
import os
import resource
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np


def note(event: str, **facts: Any) -> None:
    """Append a line. One write of a short line does not mix with those of other processes."""
    line = json.dumps({"event": event, "pid": os.getpid(), **facts}) + "\n"
    with Path(os.environ["PEERS_JOURNAL"]).open("a") as journal:
        journal.write(line)


def digest(array: np.ndarray) -> str:
    """The first 16 digits of the SHA-256 of an array's bytes."""
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:16]


def die_in_next_write() -> None:
    """Where PEERS_WRITE_LIMIT is set: the kernel kills this process when it writes past so many bytes of a file.

    Python ignores the signal, so its default is restored in C, which also works outside the main thread.
    """
    if limit := os.environ.get("PEERS_WRITE_LIMIT"):
        ctypes.CDLL(None).signal(int(signal.SIGXFSZ), 0)
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), resource.RLIM_INFINITY))


def pause_after(epoch: int) -> None:
    """Where PEERS_PAUSE_AFTER is this epoch: wait to be killed."""
    if os.environ.get("PEERS_PAUSE_AFTER") == str(epoch):
        note("pause")
        time.sleep(120)
