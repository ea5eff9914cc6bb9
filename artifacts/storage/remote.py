"""The shared store, where several machines exchange artifacts: a folder on any file system that fsspec can reach."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from uuid import uuid4

from artifacts.errors import DigitflowError, UsageError, hide_passwords


def open_url(url: str) -> tuple[Any, str]:
    """The fsspec file system of a URL or path, and the path in it. Each file system raises errors of its own.

    HTTP goes through the environment's proxies, with the passwords of ~/.netrc.
    """
    import fsspec

    options = {"client_kwargs": {"trust_env": True}} if url.startswith(("http://", "https://")) else {}
    files, root = fsspec.core.url_to_fs(url, **options)
    return files, root


STATE_FIELDS = {
    *("mtime", "created", "modify", "ETag", "etag", "LastModified", "Last-Modified", "last_modified"),
    *("Content-MD5", "md5Hash", "version_id"),
}
"""The fields, besides the size, in which file systems give the state of a file."""


def file_state(files: Any, path: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    """A file's size and whatever else differs once it is replaced: from its listing, or, if that tells nothing, as over
    HTTP, or is about a link, from the file system's own answer.
    """
    info = entry
    if entry.get("islink") or not STATE_FIELDS & entry.keys():
        info = {}
        with contextlib.suppress(FileNotFoundError):  # it is gone, or a link to nowhere
            info = files.info(path)
    return {key: str(value) for key, value in info.items() if key in STATE_FIELDS} | {"size": info.get("size")}


def refuse_password(url: str) -> None:
    """Raise UsageError if a URL has a password or a web user: what is asked of a flow stays in Prefect's database."""
    for part in url.split("::"):
        scheme, _, rest = part.rpartition("://")
        user, has_user, _ = rest.partition("/")[0].rpartition("@")
        if scheme and has_user and (":" in user or scheme in ("http", "https")):
            raise UsageError(
                f"{hide_passwords(url)} was given with a password, and a run keeps what it was asked for; "
                "put the password into ~/.netrc or the environment"
            )


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
        with self._errors():
            files, root = open_url(self.url)
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
