"""The errors that a user can cause or meet. Each message says what, which value, and what to do."""

import errno

from pydantic import ValidationError


class DigitflowError(Exception):
    """Shown as one line, without a traceback; anything else that is raised is a bug."""

    exit_code = 1


class UsageError(DigitflowError):
    """The request itself cannot be served: an unknown name, a value out of bounds."""

    exit_code = 2


class Rejected(DigitflowError):
    """The gate has spoken against it."""

    exit_code = 3


class Unreachable(DigitflowError):
    """No mirror answered at all."""


class BadSource(DigitflowError):
    """A source answered with something other than the promised data."""


class InvalidData(DigitflowError):
    """The data break their contract; `report` (JSON-ready) lists every problem with its images."""

    def __init__(self, message: str, report: dict[str, object] | None = None):
        super().__init__(message)
        self.report = report or {}


class ArtifactLost(DigitflowError):
    """Stored bytes are missing or are not what their reference says."""


class TrainingDiverged(DigitflowError):
    """The loss is no longer finite."""


_ABOUT_THE_FILE = {
    errno.ENOENT,
    errno.EACCES,
    errno.EPERM,
    errno.EISDIR,
    errno.ENOTDIR,
    errno.ENAMETOOLONG,
    errno.ELOOP,
}


def is_transient(error: BaseException | None) -> bool:
    """Whether an error is about the disk or the system at the moment, and says nothing of the file that was read."""
    return isinstance(error, OSError) and error.errno is not None and error.errno not in _ABOUT_THE_FILE


def describe_validation_error(error: ValidationError) -> str:
    """What pydantic found, in one line: where, which value, which bound."""
    return "; ".join(
        f"{'.'.join(map(str, item['loc']))}: {item['msg'].removeprefix('Value error, ')}".removeprefix(": ")
        + (f" (got {item['input']!r})" if item["type"] != "value_error" else "")
        for item in error.errors()
    )
