"""Keras computes with what the environment names, and is imported without what it does not need."""

import subprocess
import sys

import pytest

from artifacts.errors import UsageError
from artifacts.lineage.environment import backend

IMPORTS = """
import gc, sys, threading
found = []
thread = threading.Thread(target=lambda: found.append(__import__("pandas")))
thread.start()
import tasks.model.keras_setup
thread.join()
assert found and gc.isenabled() and "sklearn" not in sys.modules and "jax" not in sys.modules
import sklearn, jax
"""


def test_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorFlow computes unless KERAS_BACKEND names JAX; any other backend, or one that is not there, is refused."""
    for value, name in (("", "tensorflow"), ("jax", "jax")):
        monkeypatch.setenv("KERAS_BACKEND", value)
        assert backend() == name
    monkeypatch.setattr("artifacts.lineage.environment.find_spec", lambda _: None)
    with pytest.raises(UsageError, match="not installed"):
        backend()
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    with pytest.raises(UsageError, match="'torch'"):
        backend()


def test_nothing_else_is_hidden() -> None:
    """What Keras is imported without can be imported after, and by other threads meanwhile."""
    subprocess.run([sys.executable, "-c", IMPORTS], check=True)
