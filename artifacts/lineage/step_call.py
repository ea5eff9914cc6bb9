"""What a step's result depends on, taken apart so that a difference can be named."""

import hashlib
import inspect
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

from pydantic import BaseModel

from artifacts.lineage.environment import versions
from artifacts.lineage.fingerprint import fingerprint
from artifacts.storage.store import Store, canonical_json
from tasks.data.datasets import Mirrors


class StepCall(BaseModel, frozen=True):
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
    ) -> "StepCall":
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
        return hashlib.sha256(canonical_json(self.model_dump() | {"code": code})).hexdigest()

    @property
    def key_with_places(self) -> str:
        """The key of runs up to November 2026, in which a definition's module counted."""
        return hashlib.sha256(canonical_json(self.model_dump())).hexdigest()


def _json(value: Any) -> Any:
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else value
