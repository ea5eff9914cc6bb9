"""The command line called in this process, and what a sound home looks like."""

import hashlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from flows.cli.app import main

TINY = ("--epochs", "1", "--min-accuracy", "0.1", "--json")


class Called(NamedTuple):
    """The exit status of a verb, and what it printed."""

    status: int
    stdout: str
    stderr: str


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Called]:
    """Call the command line in this process."""

    def call(*arguments: object) -> Called:
        monkeypatch.setattr(sys, "argv", ["digitflow", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        return Called(int(ended.value.code or 0), *capsys.readouterr())

    return call


def assert_whole(home: Path) -> None:
    """No scratch file is left, and each stored artifact has the bytes that its name promises."""
    assert list((home / "tmp").iterdir()) == []
    for path in (home / "objects").glob("*/*"):
        assert path.parent.name + path.name.partition(".")[0] == hashlib.sha256(path.read_bytes()).hexdigest()
