"""Imports Keras once its settings are made, which TensorFlow reads only at import. Import Keras from here."""

import contextlib
import gc
import logging
import os
import sys
import threading
from collections.abc import Iterator
from importlib.abc import MetaPathFinder
from pathlib import Path

from artifacts.lineage.environment import backend, tensorflow_settings
from artifacts.storage.home import NATIVE_LOG

os.environ["KERAS_BACKEND"] = backend()  # overrides ~/.keras/keras.json
os.environ |= tensorflow_settings()


class _Hidden(MetaPathFinder):
    """An import hook that hides `names` from the thread that creates it. Modules imported before stay visible."""

    def __init__(self, *names: str):
        self._names, self._thread = names, threading.get_ident()

    def find_spec(self, name: str, path: object, target: object = None) -> None:
        if name in self._names and threading.get_ident() == self._thread:
            raise ModuleNotFoundError(f"{name} is hidden from Keras", name=name)


@contextlib.contextmanager
def _fast_import() -> Iterator[None]:
    """Inside, the import of Keras takes three fifths of the time and three quarters of the memory.

    Keras and TensorFlow import the hidden libraries if they are installed, for parts that are not used here. The
    garbage collector is off during the import and ignores the imported objects later: it would find nothing to free
    among them, and scanning them took a tenth of a short fit.
    """
    hidden = _Hidden(
        "sklearn", "pandas", "matplotlib", *(["jax"] if os.environ["KERAS_BACKEND"] == "tensorflow" else [])
    )
    sys.meta_path.insert(0, hidden)
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if collects:
            gc.enable()
        sys.meta_path.remove(hidden)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Inside, what native libraries write to stderr goes to `native.log` in DIGITFLOW_HOME, if that is set, or nowhere.

    TensorFlow's banners would fill a worker's log, and no setting silences all of them. (The settings are not asked:
    whatever this module reaches is code of `train`.)
    """
    home = Path(os.environ.get("DIGITFLOW_HOME") or os.devnull).expanduser()
    try:
        stderr = os.dup(2)
    except OSError:  # the caller closed it
        yield
        return
    log = os.open(home / NATIVE_LOG if home.is_dir() else os.devnull, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.dup2(log, 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(log)


logging.getLogger("tensorflow").setLevel(logging.ERROR)  # its warnings are for its developers
with _quiet(), _fast_import():
    import absl.logging
    import keras

    if backend() == "tensorflow":
        import tensorflow

        tensorflow.config.list_physical_devices()  # what it says of devices, too

# else absl closes what was stderr during the import, once logging is set up anew, as by the import of Prefect
absl.logging.get_absl_handler().python_handler.setStream(sys.__stderr__)

__all__ = ["keras", "tensorflow"]
