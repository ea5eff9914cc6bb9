"""What a step's result depends on, taken apart so that a difference can be named."""

import hashlib
import inspect
import os
from collections.abc import Callable, Mapping
from functools import cache, cached_property
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

from pydantic import BaseModel

from artifacts.datasets import Mirrors
from artifacts.errors import UsageError
from artifacts.fingerprint import fingerprint
from artifacts.store import Store, canonical


class Call(BaseModel, frozen=True):
    """One step applied to its inputs: everything that decides the result, and nothing that does not."""

    task: str
    inputs: dict[str, Any]
    """Arguments as JSON; references stand for their content. Stores and mirrors say only where, and are left out."""
    code: dict[str, str]
    """A digest of each definition that was reached, by "module:name". Where a definition stands decides nothing."""
    libraries: dict[str, str]

    @classmethod
    def of(
        cls, task: str, function: Callable[..., Any], arguments: Mapping[str, Any], shaped_by: tuple[str, ...]
    ) -> "Call":
        """Describe `function(**arguments)`, whose result the libraries `shaped_by` shape."""
        function = inspect.unwrap(function)
        code = fingerprint(function.__module__, function.__name__)
        if f"{function.__module__}:{function.__name__}" not in code:
            raise TypeError(f"the code of task {task!r} is hidden by a decorator; let it use functools.wraps")
        return cls(
            task=task,
            inputs={k: _json(v) for k, v in arguments.items() if not isinstance(v, Store | Mirrors)},
            code=code,
            libraries=versions(shaped_by),
        )

    @cached_property
    def key(self) -> str:
        """The SHA-256 under which the result is remembered."""
        code = sorted((place.partition(":")[2], digest) for place, digest in self.code.items())
        return hashlib.sha256(canonical(self.model_dump() | {"code": code})).hexdigest()

    @property
    def key_with_places(self) -> str:
        """The key of runs up to November 2026, in which a definition's module counted."""
        return hashlib.sha256(canonical(self.model_dump())).hexdigest()


def _json(value: Any) -> Any:
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else value


def backend() -> str:
    """What Keras computes with, after KERAS_BACKEND. Raises UsageError if that cannot be."""
    name = os.environ.get("KERAS_BACKEND") or "tensorflow"
    if name not in ("tensorflow", "jax"):
        raise UsageError(f"KERAS_BACKEND is {name!r}; the networks train with tensorflow or jax")
    if name == "jax" and not find_spec(name):
        raise UsageError(f"KERAS_BACKEND is {name!r}, which is not installed: pip install 'digitflow[{name}]'")
    return name


def versions(libraries: tuple[str, ...]) -> dict[str, str]:
    """The version of each library; "backend" stands for the one that Keras computes with."""
    return {name: _version(name) for name in (backend() if name == "backend" else name for name in libraries)}


@cache
def _version(library: str) -> str:
    return version(library)
