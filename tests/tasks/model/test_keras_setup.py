"""Keras uses the backend that the environment names, and its import skips libraries that it does not need."""

import subprocess
import sys

import pytest

from artifacts.errors import UsageError
from artifacts.lineage.environment import backend

IMPORTS = """
import gc, sys, threading
modules = []
thread = threading.Thread(target=lambda: modules.append(__import__("pandas")))
thread.start()
import tasks.model.keras_setup
thread.join()
assert modules and gc.isenabled() and "sklearn" not in sys.modules and "jax" not in sys.modules
import sklearn, jax
"""


def test_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorFlow is the backend unless KERAS_BACKEND names JAX; another backend, or one not installed, is refused."""
    for value, name in (("", "tensorflow"), ("jax", "jax")):
        monkeypatch.setenv("KERAS_BACKEND", value)
        assert backend() == name
    monkeypatch.setattr("artifacts.lineage.environment.find_spec", lambda _: None)
    with pytest.raises(UsageError, match="not installed"):
        backend()
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    with pytest.raises(UsageError, match="'torch'"):
        backend()


@pytest.mark.slow
def test_nothing_else_is_hidden() -> None:
    """The hidden libraries can be imported after Keras, and by other threads at the same time; TensorFlow's banners,
    which fill a worker's log, are not on stderr."""
    run = subprocess.run([sys.executable, "-c", IMPORTS], capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (0, "")


def test_stderr_of_the_import_stays_open() -> None:
    """A stream that stands for stderr while Keras is imported is not closed when logging is set up anew."""
    script = """
import io, logging.config, sys
own = sys.stderr = io.StringIO()
import tasks.model.keras_setup
sys.stderr = sys.__stderr__
logging.config.dictConfig({"version": 1})
assert not own.closed
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (0, "")
