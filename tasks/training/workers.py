"""Worker processes: each runs `python -m module`, reads one JSON request a line, and writes one JSON reply a line.

A worker ends when the process that started it ends, after a kill -9 and in the middle of an answer too. joblib's loky
does not serve: its workers finish the call that they are at after a kill -9, and its calls and results are pickles.
"""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

from artifacts.errors import DigitflowError

ONE_THREAD = dict.fromkeys(("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS"), "1")
"""Environment of a worker that computes with a single thread.

Small networks train no slower so, and sums that are split over threads differ in their last bits. With one thread, no
result depends on the cores of a machine or on its load.
"""

Request = dict[str, Any]
Reply = dict[str, Any]


class Worker:
    """A process that runs `module`, which calls `serve`. `is_idle` is False while it answers, and once it has ended."""

    def __init__(self, module: str, environment: Mapping[str, str] | None = None):
        self.module, self.is_idle = module, True
        command, pipe, variables = [sys.executable, "-m", module], subprocess.PIPE, os.environ | (environment or {})
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=variables)  # noqa: S603  # this interpreter on a module of ours

    def ask(self, request: Request) -> Reply:
        """The worker's reply. Raises DigitflowError if the worker raised one, or ended before it replied."""
        assert self._process.stdin and self._process.stdout  # noqa: S101  # both are pipes
        self.is_idle = False
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            status = self._process.wait()
            raise DigitflowError(f"{self.module}: its process ended with status {status}; run again to continue")
        self.is_idle = True
        reply: Reply = json.loads(line)
        if "error" in reply:
            raise DigitflowError(reply["error"])
        return reply

    def stop(self) -> None:
        """End the process, also in the middle of an answer."""
        self._process.kill()
        self._process.wait()


_idle: defaultdict[str, list[Worker]] = defaultdict(list)
_busy: set[Worker] = set()


def ask_idle_worker(module: str, request: Request) -> Reply:
    """The reply of an idle worker with a single thread; starts one if none is idle. Raises DigitflowError."""
    try:
        worker = _idle[module].pop()
    except IndexError:
        worker = Worker(module, ONE_THREAD)
    _busy.add(worker)
    try:
        return worker.ask(request)
    finally:
        _busy.discard(worker)
        if worker.is_idle:
            _idle[module].append(worker)


def stop_workers() -> None:
    """End the workers of `ask_idle_worker`, also those that are busy."""
    for worker in [*_busy, *(worker for workers in _idle.values() for worker in workers)]:
        worker.stop()
    _idle.clear()


def serve(answer: Callable[[Request], Reply], start_up: Callable[[], object] = lambda: None) -> None:
    """The loop of a worker: read a request, call `answer`, write the reply. `start_up` runs before the first request.

    A DigitflowError in `answer` is sent to the caller. Any other error ends the worker, with a traceback on stderr.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started this one
    requests: queue.SimpleQueue[str] = queue.SimpleQueue()
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # libraries that print to stdout must not write into the replies
    threading.Thread(target=_read_requests, args=(requests,), daemon=True).start()
    start_up()
    while True:
        request = json.loads(requests.get())
        try:
            reply = answer(request)
        except DigitflowError as error:
            reply = {"error": str(error)}
        replies.write(json.dumps(reply) + "\n")
        replies.flush()


def _read_requests(requests: "queue.SimpleQueue[str]") -> None:
    for line in sys.stdin:
        requests.put(line)
    os._exit(0)  # in the middle of an answer too: the process that asked has ended
