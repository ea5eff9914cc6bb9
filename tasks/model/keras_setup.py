"""Imports Keras once its settings are made, which TensorFlow reads only at import. Import Keras from here."""

import contextlib
import gc
import os
import sys
import threading
from collections.abc import Iterator
from importlib.abc import MetaPathFinder

from artifacts.lineage.environment import backend, tensorflow_settings

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


with _fast_import():
    import keras

__all__ = ["keras"]
