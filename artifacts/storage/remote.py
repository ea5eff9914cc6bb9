"""The shared store, where several machines exchange artifacts: a folder on any file system that fsspec can reach."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from uuid import uuid4

from artifacts.errors import DigitflowError


@dataclass(frozen=True)
class Remote:
    """Files below an fsspec URL such as `s3://bucket/digitflow`; credentials come from the environment."""

    url: str
    role: str = "the shared store"
    setting: str = "DIGITFLOW_STORE"
    """The setting that names the URL, for messages."""

    def pull(self, name: str, path: Path) -> bool:
        """Copy `name` to `path`. False if there is no such file. The caller verifies the bytes."""
        with self._errors():
            try:
                self._files.get_file(self._at(name), str(path))
            except FileNotFoundError:
                return False
        return True

    def holds(self, name: str) -> bool:
        """Whether there is a file `name`."""
        with self._errors():
            return bool(self._files.exists(self._at(name)))

    def push(self, path: Path, name: str) -> None:
        """Copy `path` to `name`, atomically: readers see the whole file or none."""
        with self._errors():
            self._files.makedirs(self._at(name).rpartition("/")[0], exist_ok=True)
            if "s3" in self._protocol or "gs" in self._protocol or "gcs" in self._protocol:
                self._files.put_file(str(path), self._at(name))  # object stores show whole objects only
                return
            part = self._at(f"{name}.{uuid4().hex}.part")
            self._files.put_file(str(path), part)
            self._files.mv(part, self._at(name))

    def remove(self, name: str) -> None:
        """Delete `name`, if it is there."""
        with self._errors(), contextlib.suppress(FileNotFoundError):
            self._files.rm_file(self._at(name))

    @cached_property
    def _opened(self) -> tuple[Any, str]:
        import fsspec

        with self._errors():
            files, root = fsspec.core.url_to_fs(self.url)
        return files, root.rstrip("/")

    @property
    def _files(self) -> Any:
        return self._opened[0]

    @property
    def _protocol(self) -> tuple[str, ...]:
        protocol = self._files.protocol
        return (protocol,) if isinstance(protocol, str) else tuple(protocol)

    def _at(self, name: str) -> str:
        return f"{self._opened[1]}/{name}"

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except DigitflowError:
            raise
        except Exception as error:  # each file system raises its own
            raise DigitflowError(
                f"{self.role} {self.url} cannot be used: {' '.join(str(error).split()) or type(error).__name__}; "
                f"check {self.setting}, the network and the credentials"
            ) from error
