"""Where and how to run. No setting changes a result; `Hyperparameters` do."""

import os
from functools import cached_property
from pathlib import Path

from pydantic import BaseModel, ByteSize, Field, ValidationError, field_validator

from artifacts.errors import UsageError
from artifacts.storage.home import absolute
from artifacts.storage.remote import Remote
from artifacts.storage.store import Location, Store


class Settings(BaseModel, Location, frozen=True, validate_default=True):
    """The settings of a process; each is an environment variable, such as DIGITFLOW_HOME. An empty one is unset."""

    home: Path = Field(Path("artifacts/home"), description="Folder of everything that a run writes")
    store: str = Field(
        "", description="fsspec URL, such as s3://bucket/folder, where machines share artifacts; or none"
    )
    locks: str = Field("", description="Redis URL where machines share locks, such as redis://host; or none")
    inbox: str = Field("", description="fsspec URL from which retraining fetches batches too; or none")
    max_size: ByteSize | None = Field(None, description="After each run, evict artifacts until they fit, such as 2GB")
    mirrors: tuple[str, ...] = Field(
        (), description="Base URLs, comma-separated, that replace the built-in mirrors (http, https or file)"
    )
    timeout: float = Field(4, gt=0, le=600, description="Seconds to wait for a connection or for the next bytes")
    max_file_bytes: int = Field(
        2**32, gt=0, description="Largest decompressed IDX file that is accepted from an unlisted source"
    )

    stale_days: int = Field(7, ge=1, le=3650, description="Days without a confirmation after which a champion is stale")

    @field_validator("mirrors", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(url.strip() for url in value.split(",") if url.strip()) if isinstance(value, str) else value

    @field_validator("mirrors")
    @classmethod
    def _known_scheme(cls, urls: tuple[str, ...]) -> tuple[str, ...]:
        for url in urls:
            if not url.startswith(("http://", "https://", "file://")):
                raise ValueError(f"{url!r} is not an http://, https:// or file:// URL")
        return tuple(url.rstrip("/") + "/" for url in urls)

    @field_validator("locks")
    @classmethod
    def _redis(cls, url: str) -> str:
        if url and not url.startswith(("redis://", "rediss://", "unix://")):
            raise ValueError(f"{url!r} is not a redis://, rediss:// or unix:// URL")
        return url

    @field_validator("home")
    @classmethod
    def _absolute(cls, home: Path) -> Path:
        try:
            place = absolute(home)
        except UsageError as error:
            raise ValueError(str(error)) from None
        for path in (place, *place.parents):
            try:
                os.lstat(path)
            except (FileNotFoundError, NotADirectoryError, PermissionError):
                continue
            except OSError as error:  # such as a name that is too long
                raise ValueError(error.strerror) from None
            if not os.path.isdir(path):  # noqa: PTH112  # which never raises
                raise ValueError(f"{path} is not a folder")
            break
        return place

    @classmethod
    def load(cls) -> "Settings":
        """The settings of this process. Raises UsageError, which names each unusable variable."""
        variables = {name: os.environ.get(f"DIGITFLOW_{name.upper()}") for name in cls.model_fields}
        try:
            return cls.model_validate({name: value for name, value in variables.items() if value})
        except ValidationError as error:
            problems = "; ".join(
                f"DIGITFLOW_{str(item['loc'][0]).upper()}={item['input']!r}: "
                + item["msg"].removeprefix("Value error, ")
                for item in error.errors()
            )
            raise UsageError(f"unusable setting: {problems}; correct or unset it") from None

    @cached_property
    def artifacts(self) -> Store:
        """The store that these settings name."""
        return Store(self.home, Remote(self.store) if self.store else None)
