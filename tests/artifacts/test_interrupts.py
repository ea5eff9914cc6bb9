"""Ctrl-C is not lost, and does not disturb what handles it. Each case is a process of its own, which types it."""

import subprocess
import sys

import pytest

from tests.command import ROOT, environment

BEGIN = """
import contextlib, os, queue, signal, threading, time
from artifacts.interrupts import is_interrupted, until_interrupted, watch_interrupts

def type_ctrl_c(after=0.0):
    time.sleep(after)
    os.kill(os.getpid(), signal.SIGINT)

def lose_it():
    with contextlib.suppress(BaseException):
        type_ctrl_c()
        time.sleep(60)

class Lost:
    def __del__(self):
        type_ctrl_c()
        time.sleep(60)
"""
WATCH = "watch_interrupts()\n"
ENDED = (130, "", "KeyboardInterrupt")


def ending(script: str) -> tuple[int, str, str]:
    """The exit status, the output and the last line of the errors of a process that runs the script."""
    command = [sys.executable, "-c", BEGIN + script]
    ended = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=50)
    return ended.returncode, ended.stdout, (ended.stderr.splitlines() or [""])[-1]


@pytest.mark.parametrize("lose", ["lose_it()", "Lost()"], ids=["caught", "in a destructor"])
@pytest.mark.parametrize(
    "then", ["while True: time.sleep(0.01)", "time.sleep(60)", "threading.Lock().acquire() and queue.Queue().get()"]
)
def test_lost_interrupt_is_repeated(lose: str, then: str) -> None:
    """A KeyboardInterrupt that a library loses is raised again, whether the main thread works or waits."""
    assert ending(f"{WATCH}{lose}\n{then}") == ENDED


@pytest.mark.parametrize(
    "clean_up", ["finally: clean_up()", "except BaseException:\n  try: 1/0\n  finally: clean_up()"]
)
def test_handling_is_not_disturbed(clean_up: str) -> None:
    """What cleans up after Ctrl-C is not interrupted by a repeat, however long it takes."""
    script = f"def clean_up():\n time.sleep(3); print('clean', is_interrupted())\ntry: type_ctrl_c()\n{clean_up}"
    assert ending(WATCH + script)[1] == "clean True\n"


def test_circle_of_errors() -> None:
    """A lost interrupt is repeated also in the handling of errors that were raised from each other."""
    circle = "try: 1/0\nexcept ZeroDivisionError as a:\n try: {}[1]\n except KeyError as kept: b = kept\n"
    handled = " try: raise a from b\n except ZeroDivisionError: lose_it(); time.sleep(60)"
    assert ending(f"{WATCH}{circle}{handled}")[::2] == (130, "KeyboardInterrupt")


def test_second_ctrl_c_is_typed() -> None:
    """A second Ctrl-C interrupts what cleans up after the first, as it does without us."""
    again = "threading.Thread(target=type_ctrl_c, args=(0.5,)).start()"
    script = f"try: type_ctrl_c()\nfinally:\n {again}\n time.sleep(30); print('clean')"
    assert ending(WATCH + script) == ENDED


def test_end_of_a_block() -> None:
    """Ctrl-C that ends a block is not repeated, and a later error is not its work. The next one counts."""
    script = "with until_interrupted(): type_ctrl_c()\ntime.sleep(2.5); print(is_interrupted()); type_ctrl_c()"
    assert ending(WATCH + script) == (130, "False\n", "KeyboardInterrupt")


def test_process_that_ignores_it() -> None:
    """A command that a script starts with `&` ignores Ctrl-C, and goes on to."""
    script = f"signal.signal(signal.SIGINT, signal.SIG_IGN)\n{WATCH}type_ctrl_c(); print('on')"
    assert ending(script) == (0, "on\n", "")


def test_one_exit_status() -> None:
    """The exit status is 130 wherever Ctrl-C meets the process. Python's own is another in the `exec` of a string."""
    script = "import sys\ntry: exec('type_ctrl_c(); time.sleep(60)')\nexcept KeyboardInterrupt: sys.exit(130)"
    assert ending(WATCH + script) == (130, "", "")
