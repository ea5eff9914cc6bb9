"""Errors say whether waiting helps, and one line names all that is wrong with a request."""

import errno
import os

import pytest
from pydantic import BaseModel, Field, ValidationError

from artifacts.errors import DigitflowError, InvalidData, describe_validation_error, is_transient


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        *((OSError(number, os.strerror(number)), True) for number in (errno.ENOSPC, errno.EMFILE, errno.EIO)),
        *((OSError(number, os.strerror(number)), False) for number in (errno.ENOENT, errno.EACCES, errno.EISDIR)),
        (OSError("cannot identify image file"), False),
        (ValueError("bad header"), False),
        (None, False),
    ],
)
def test_transient(error: BaseException | None, expected: bool) -> None:
    """An error of the disk or the system is transient; an error of the file or its content is not."""
    assert is_transient(error) is expected


def test_validation_errors_in_one_line() -> None:
    """Each problem is named with its field, the bound and the value."""

    class Request(BaseModel):
        epochs: int = Field(ge=1)
        seed: int

    with pytest.raises(ValidationError) as caught:
        Request.model_validate({"epochs": 0, "seed": "x"})
    line = describe_validation_error(caught.value)
    assert line.startswith("epochs: should be at least 1 (got 0); seed: should be a whole number (got 'x')")


@pytest.mark.parametrize(
    "url",
    [
        "http://me:SECRET@host/x",
        "redis://:ab/SECRET@host:6379/0",
        "redis://:ab@SECRET@host",
        "ftp://SECRET@host",
        "redis://host/0?password=SECRET",
        "https://host/x?a=1&X-Amz-Signature=SECRET&b=2",
    ],
)
def test_no_secret_in_a_message(url: str) -> None:
    """Whatever the error and the URL in its message, the message has its host, and not its password or token."""
    for error in (DigitflowError(f"{url!r} cannot be read: {url}"), InvalidData(f"see {url}", {})):
        assert "SECRET" not in str(error) and "//host" in str(error)
