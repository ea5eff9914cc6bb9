"""The errors that a user can cause or meet. Each message says what, which value, and what to do."""

import difflib
import errno
import re
from collections.abc import Callable, Iterable

from pydantic import ValidationError


class DigitflowError(Exception):
    """The command line shows it as one line, without a traceback. Any other exception is a bug.

    Its message goes to logs, to Prefect's page and to webhooks, so what is secret in a URL is taken out of it.
    """

    exit_code = 1

    def __init__(self, *arguments: object):
        super().__init__(*(hide_passwords(part) if isinstance(part, str) else part for part in arguments))


class UsageError(DigitflowError):
    """The request is wrong: an unknown name, a value out of bounds."""

    exit_code = 2


class Rejected(DigitflowError):
    """The gate rejected the model."""

    exit_code = 3


class Unreachable(DigitflowError):
    """No mirror answered."""


class BadSource(DigitflowError):
    """A source gave something other than the expected data."""


class SeveralShapes(BadSource):
    """A picture shows `count` separate shapes, and one was to be read."""

    def __init__(self, count: int):
        super().__init__(f"shows {count} separate shapes; crop it to one, or read each with --several")
        self.count = count


class InvalidData(DigitflowError):
    """The data break their contract; `report`, a JSON value, lists every problem with its images."""

    exit_code = 2

    def __init__(self, message: str, report: dict[str, object] | None = None):
        super().__init__(message)
        self.report = report or {}

    @property
    def problems(self) -> list[str]:
        """The messages of the problems, errors first."""
        found = [*self.report.get("errors", ()), *self.report.get("warnings", ())]  # type: ignore[misc]
        return [problem["message"] for problem in found]


class ArtifactLost(DigitflowError):
    """Stored bytes are missing, or differ from their reference."""


class LeaseLost(DigitflowError):
    """A lock that machines share was lost while it was held, so another machine may have it."""


class TrainingDiverged(DigitflowError):
    """The loss is no longer finite."""


_FAULTS_OF_THE_FILE = {
    errno.ENOENT,
    errno.EACCES,
    errno.EPERM,
    errno.EISDIR,
    errno.ENOTDIR,
    errno.ENAMETOOLONG,
    errno.ELOOP,
}
"""The file is missing or forbidden, or its path leads to something else. Waiting does not help."""


_FAULTS_OF_THE_SURROUNDINGS = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT}


def describe_surroundings(error: BaseException) -> str:
    """What an OSError says of permissions or of a full disk, which a person has to change; "" for any other error."""
    if not isinstance(error, OSError) or error.errno not in _FAULTS_OF_THE_SURROUNDINGS:
        return ""
    place = error.filename if isinstance(error.filename, str) else "the output"
    way = "make room, or write elsewhere" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "change its permissions"
    return f"{place} cannot be used: {error.strerror}; {way}"


def is_transient(error: BaseException | None) -> bool:
    """Whether an OSError is transient, such as a full disk or too many open files, and not a fault of the file."""
    return isinstance(error, OSError) and error.errno is not None and error.errno not in _FAULTS_OF_THE_FILE


def hide_passwords(text: str) -> str:
    """The text without the secrets of the URLs in it: what stands between "//" and the last "@", and what a query gives
    as a password, token, key, secret or signature.
    """
    text = re.sub(r"//[^\s'\"<>]*@", "//", text)
    return re.sub(r"([?&][^=&\s]*(?:passw|token|key|secret|sig)[^=&\s]*=)[^&\s'\"]+", r"\1…", text, flags=re.IGNORECASE)


def suggest(name: str, known: Iterable[str]) -> str:
    """The known name that is most like an unknown one as a question, or else all known names."""
    known = list(known)
    near = [each for each in known if name and each.startswith(name)] or difflib.get_close_matches(name, known, n=1)
    return f"did you mean {near[0]!r}?" if near else f"choose from: {', '.join(map(repr, known))}"


_OF_PYDANTIC = {
    "Value error, ": "",
    "Extra inputs are not permitted": "is unknown here",
    "Input should be": "should be",
    "a valid integer, unable to parse string as an integer": "a whole number",
    "a valid integer, got a number with a fractional part": "a whole number",
    "a valid integer": "a whole number",
    "a valid number, unable to parse string as a number": "a number",
    "a valid number": "a number",
    "a valid tuple": "a list",
    "Tuple should have at least 1 item after validation, not 0": "should have a value",
    "Tuple should have": "should have",
    "items after validation": "values",
    "greater than or equal to": "at least",
    "less than or equal to": "at most",
    "greater than": "more than",
}


def _describe(message: str) -> str:
    """Pydantic's message in fewer words."""
    for theirs, ours in _OF_PYDANTIC.items():
        message = message.replace(theirs, ours)
    return message


def _path(place: tuple[int | str, ...]) -> str:
    return ".".join(map(str, place))


def describe_validation_error(error: ValidationError, name: Callable[[tuple[int | str, ...]], str] = _path) -> str:
    """All problems in one line, each with the `name` of its place, such as "filters.0", the bound and the value."""
    found = error.errors()
    inner = {item["loc"][:n] for item in found for n in range(len(item["loc"]))}  # their entries say it already
    return "; ".join(
        f"{name(item['loc'])}: {_describe(item['msg'])}".removeprefix(": ")
        + (f" (got {item['input']!r})" if item["type"] != "value_error" else "")
        for item in found
        if item["loc"] not in inner
    )
