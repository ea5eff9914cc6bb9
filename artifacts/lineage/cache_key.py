"""What a cache key is made of: everything that a step's result depends on, in parts, so that a change can be named.

What counts as code is in `fingerprint.py`. Each step names its libraries in `@step(shaped_by=…)`, and arguments that
are a `Location` are left out. `audit.py` compares calls and derives keys again.
"""

import hashlib
import inspect
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

from pydantic import BaseModel

from artifacts.lineage.environment import versions
from artifacts.lineage.known_code import code_of
from artifacts.storage.store import Location, canonical_json


class StepCall(BaseModel, frozen=True):
    """One call of a step: everything that decides its result, and nothing else."""

    task: str
    inputs: dict[str, Any]
    """Arguments as JSON. References stand for their content; a `Location` is left out."""
    code: dict[str, str]
    """The digest of each definition that the step reaches, by "module:name". The module is not part of the key."""
    libraries: dict[str, str]
    bindings: str = ""
    """A digest of which name stands for which definition in the code; calls up to November 2026 have none."""

    @classmethod
    def of(
        cls, task: str, function: Callable[..., Any], arguments: Mapping[str, Any], shaped_by: tuple[str, ...]
    ) -> "StepCall":
        """The call `function(**arguments)`. The versions of the libraries `shaped_by` can change its result."""
        function = inspect.unwrap(function)
        code, bindings = code_of(function.__module__, function.__name__)
        if f"{function.__module__}:{function.__name__}" not in code:
            raise TypeError(f"the code of task {task!r} is hidden by a decorator; let it use functools.wraps")
        return cls(
            task=task,
            inputs={k: _json(v) for k, v in arguments.items() if not isinstance(v, Location)},
            code=code,
            libraries=versions(shaped_by),
            bindings=bindings,
        )

    @cached_property
    def key(self) -> str:
        """The SHA-256 under which the cache keeps the result."""
        code = sorted((place.partition(":")[2], digest) for place, digest in self.code.items())
        return hashlib.sha256(canonical_json(self.model_dump() | {"code": code})).hexdigest()

    @property
    def key_with_modules(self) -> str:
        """The key as runs up to November 2026 computed it: the module of each definition was part of it."""
        return hashlib.sha256(canonical_json(self.model_dump(exclude={"bindings"}))).hexdigest()


def _json(value: Any) -> Any:
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else value
