"""The backend of Keras, the versions of libraries, and the machine."""

import os
import platform
import sys
from functools import cache
from importlib.util import find_spec

from artifacts.errors import UsageError


def backend() -> str:
    """The library that Keras computes with, from KERAS_BACKEND. Raises UsageError if it is unknown or not installed."""
    name = os.environ.get("KERAS_BACKEND") or "tensorflow"
    if name not in ("tensorflow", "jax"):
        raise UsageError(f"KERAS_BACKEND is {name!r}; the networks train with tensorflow or jax")
    if name == "jax" and not find_spec(name):
        raise UsageError(
            f"KERAS_BACKEND is {name!r}, which is not installed; README.md says how to add the extra {name}"
        )
    return name


def versions(libraries: tuple[str, ...]) -> dict[str, str]:
    """The version of each library; "backend" stands for the backend of Keras."""
    return {name: _version(name) for name in (backend() if name == "backend" else name for name in libraries)}


@cache
def _version(library: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(library)
    except PackageNotFoundError:
        return version(f"{library}-cpu")  # TensorFlow without CUDA has a name of its own


def tensorflow_settings() -> dict[str, str]:
    """The environment variables that TensorFlow reads when it is imported, with digitflow's defaults.

    Without oneDNN, which TensorFlow leaves off on processors without AVX-512, a fit takes three to five times as long.
    The number of threads of an operation decides the order of its sums, and so the last bits of the weights.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    defaults = {"TF_ENABLE_ONEDNN_OPTS": "1", "TF_NUM_INTRAOP_THREADS": str(cores), "TF_CPP_MIN_LOG_LEVEL": "3"}
    return {name: os.environ.get(name) or default for name, default in defaults.items()}


def machine() -> dict[str, str | int]:
    """The parts of the machine that a result may depend on besides code and data."""
    return {
        "platform": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count() or 1,
        "python": sys.version.split()[0],
        "threads": tensorflow_settings()["TF_NUM_INTRAOP_THREADS"],
        "onednn": tensorflow_settings()["TF_ENABLE_ONEDNN_OPTS"],
        **versions(("keras", "backend", "numpy", "prefect")),
    }
