"""A command imports only what it needs, so that an answer comes at once. Seconds are in the benchmarks."""

import json
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from flows.cli.app import app
from tests.command import ROOT, assert_refused, environment

HEAVY = ("fsspec", "httpx", "jaxtyping", "keras", "mlflow", "numpy", "pandas", "PIL", "prefect", "scipy", "sklearn")
"""Libraries that take a tenth of a second or more to import."""
SCRIPT = """
import json, sys
from flows.cli.__main__ import start
try:
    start()
except SystemExit as end:
    packages = {name.split(".")[0] for name, module in sys.modules.items() if module}
    print(json.dumps([end.code, sorted(packages)]), file=sys.__stderr__)
"""
VERBS = [name for name in app if not name.startswith("-")]
UNANSWERABLE = (
    ("trian",),
    ("predict", "missing.png"),
    ("predict",),
    ("data", "add", "missing.npz"),
    ("train", "--dataset", "missing"),
    ("train", "--recipe", "missing"),
    ("train", "--gate", "missing.json"),
    ("train", "--strides", "40"),
    ("experiment", "--variants", "missing"),
    ("models", "show", "one"),
)


def run(*arguments: str) -> tuple[int, set[str]]:
    """The exit status of a command, and the packages that it imported."""
    command = [sys.executable, "-c", SCRIPT, *arguments]
    ended = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=60)
    status, packages = json.loads(ended.stderr.splitlines()[-1])
    return status, set(packages)


@pytest.mark.parametrize("verb", ["", *VERBS])
def test_help_imports_no_library_of_the_pipeline(verb: str) -> None:
    """The help of each verb needs none of the heavy libraries."""
    status, packages = run(*filter(None, [verb, "--help"]))
    assert not status
    assert not packages & set(HEAVY)


@pytest.mark.parametrize("arguments", UNANSWERABLE, ids=" ".join)
def test_error_that_needs_no_library_imports_none(arguments: tuple[str, ...]) -> None:
    """A missing file and an unknown name are told, with status 2, before anything heavy is imported."""
    status, packages = run(*arguments)
    assert status == 2
    assert not packages & set(HEAVY)


def test_ctrl_c_while_the_command_is_imported() -> None:
    """Ctrl-C before the command runs ends it in one line, as later."""
    interrupt = """
import sys
from importlib.abc import MetaPathFinder
class Interrupted(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == "cyclopts":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupted())
from flows.cli.__main__ import start
start()
"""
    ended = subprocess.run(
        [sys.executable, "-c", interrupt], cwd=ROOT, env=environment(), capture_output=True, text=True
    )
    assert (ended.returncode, ended.stderr) == (130, "digitflow: interrupted before it began\n")


LIBRARY = """
import os, signal, time
from artifacts.storage.settings import Settings
from flows.cli.__main__ import start
def loop():
    while True: time.sleep(0.01)
def interrupted():
    try: os.kill(os.getpid(), signal.SIGINT); loop()
    except BaseException: pass
    {}
load, Settings.load = Settings.load, interrupted
start()
"""


def in_a_library(then: str) -> "subprocess.CompletedProcess[str]":
    """A command that Ctrl-C meets in a library, which loses it, and what happens then."""
    command = [sys.executable, "-c", LIBRARY.format(then), "models", "--json"]
    return subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("then", ["raise ValueError", "loop()"], ids=["replaced by an error", "lost"])
def test_ctrl_c_in_a_library(then: str, home: Path) -> None:
    """Ctrl-C ends the command as ever if a library raises an error of its own in its place, or nothing."""
    assert_refused(in_a_library(then), 130, "interrupted; run the same command again")


def test_command_that_ends_all_the_same(home: Path) -> None:
    """A command that has done all its work, because a library lost Ctrl-C just before, has succeeded."""
    ended = in_a_library("return load()")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "[]\n", "")


def test_ctrl_c_while_the_process_ends() -> None:
    """Ctrl-C after the answer ends the process without a word."""
    late = "import atexit, os, signal; atexit.register(os.kill, os.getpid(), signal.SIGINT)\n"
    command = [sys.executable, "-c", f"{late}from flows.cli.__main__ import start; start()", "models", "--json"]
    ended = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True)
    assert (ended.returncode, ended.stdout, ended.stderr) == (-signal.SIGINT, "[]\n", "")


def test_preview_imports_no_checker_and_no_orchestrator() -> None:
    """What the next run will do is told without what runs it, and without what checks shapes in tests."""
    status, packages = run("explain-cache", "--dataset", "mnist-sample")
    assert not status
    assert not packages & {"jaxtyping", "keras", "mlflow", "pandas", "prefect", "scipy"}


def test_check_of_data_imports_only_what_it_uses(digits_folder: Path) -> None:
    """What pandera, xarray and pandas import if it is installed, as it is here, is left out."""
    unused = {"dask", "hypothesis", "pyarrow"}
    assert all(map(find_spec, unused))
    status, packages = run("data", "check", str(digits_folder))
    assert not status
    assert packages >= {"pandera", "xarray", "pandas"} and not packages & unused
