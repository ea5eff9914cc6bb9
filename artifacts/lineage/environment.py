"""The backend of Keras, the versions of libraries, and the machine."""

import contextlib
import os
import platform
import re
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from artifacts.errors import UsageError

INSTRUCTIONS = ("amx_tile", "avx512_bf16", "avx512_vnni", "avx512f", "avx2", "avx", "sse4_1", "sve", "asimd")
"""Sets of vector instructions, the widest first."""
CPUINFO = Path("/proc/cpuinfo")


def backend() -> str:
    """The library that Keras computes with, from KERAS_BACKEND. Raises UsageError if it is unknown or not installed."""
    name = os.environ.get("KERAS_BACKEND") or "tensorflow"
    if name not in ("tensorflow", "jax"):
        raise UsageError(f"KERAS_BACKEND is {name!r}; the networks train with tensorflow or jax")
    if name == "jax" and not find_spec(name):
        raise UsageError(
            f"KERAS_BACKEND is {name!r}, which is not installed; docs/operations.md says how to add the extra {name}"
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


def instruction_set() -> str:
    """The widest vector instructions of this processor that oneDNN has code for, as Linux calls them; "" elsewhere.

    They decide the order of sums in convolutions, and so the last bits of the weights. ONEDNN_MAX_CPU_ISA narrows them.
    """
    if limit := os.environ.get("ONEDNN_MAX_CPU_ISA"):
        return limit.lower()
    with contextlib.suppress(OSError):
        told = re.search(r"^(?:flags|Features)\s*:(.*)$", CPUINFO.read_text(errors="replace"), re.MULTILINE)
        flags = told[1].split() if told else []
        return next((name for name in INSTRUCTIONS if name in flags), "")
    return ""


def commit() -> str:
    """The git commit of this code, with "-dirty" if files were changed since; "" outside a clone, or without git."""
    import subprocess

    root = Path(__file__).parents[2]
    if not (root / ".git").exists():  # git would look in the folders above, which may be another project's
        return ""
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    with contextlib.suppress(OSError):
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()  # noqa: S603
    return ""


def machine() -> dict[str, str | int]:
    """The parts of the machine that a result may depend on besides code and data."""
    return {
        "platform": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count() or 1,
        "python": sys.version.split()[0],
        "threads": tensorflow_settings()["TF_NUM_INTRAOP_THREADS"],
        "instructions": instruction_set(),
        "onednn": tensorflow_settings()["TF_ENABLE_ONEDNN_OPTS"],
        **versions(("keras", "backend", "numpy", "prefect")),
    }
