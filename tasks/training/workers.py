"""Processes that stay: each answers one JSON request at a time, and ends with the process that started it, however.

Each computes with a single thread. Small networks train no slower so, and sums that are split over threads differ in
their last bits: so no result depends on a machine's cores, or on what else uses them.
"""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from artifacts.errors import DigitflowError

ONE_THREAD = dict.fromkeys(("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"), "1")

Child = subprocess.Popen[str]

_idle: defaultdict[str, list[Child]] = defaultdict(list)
_busy: set[Child] = set()


def ask(module: str, request: dict[str, Any]) -> dict[str, Any]:
    """The answer of a process that runs `module`, which calls `serve`: an idle one, or a new one.

    Raises DigitflowError if one was raised there, or if the process ends before it has answered.
    """
    try:
        child = _idle[module].pop()
    except IndexError:
        child = _start(module)
    assert child.stdin and child.stdout  # noqa: S101  # both are pipes
    _busy.add(child)
    try:
        child.stdin.write(json.dumps(request) + "\n")
        child.stdin.flush()
        told = child.stdout.readline()
    except BrokenPipeError:
        told = ""
    finally:
        _busy.discard(child)
    if not told:
        raise DigitflowError(f"{module}: its process ended with status {child.wait()}; run again to go on from there")
    _idle[module].append(child)
    answer: dict[str, Any] = json.loads(told)
    if "error" in answer:
        raise DigitflowError(answer["error"])
    return answer


def dismiss() -> None:
    """End the processes, also those that are at work."""
    for child in [*_busy, *(child for children in _idle.values() for child in children)]:
        child.kill()
        child.wait()
    _idle.clear()


def serve(answer: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Be such a process. A bug in `answer` ends it, with a traceback on stderr."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for who started us
    requests: queue.SimpleQueue[str] = queue.SimpleQueue()
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no reply
    threading.Thread(target=_listen, args=(requests,), daemon=True).start()
    while True:
        request = json.loads(requests.get())
        try:
            reply = answer(request)
        except DigitflowError as error:
            reply = {"error": str(error)}
        replies.write(json.dumps(reply) + "\n")
        replies.flush()


def _start(module: str) -> Child:
    command = [sys.executable, "-m", module]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=os.environ | ONE_THREAD)  # noqa: S603  # this interpreter on a module of ours


def _listen(requests: "queue.SimpleQueue[str]") -> None:
    for line in sys.stdin:
        requests.put(line)
    os._exit(0)  # also in the middle of an answer: nobody waits for it any more
