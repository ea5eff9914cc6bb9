"""`digitflow experiment` refuses what cannot be served; tests/flows/test_experiments.py has its runs."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.flows.cli.conftest import Called

BAD_FILE = "grid: {dropout: [2]}"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--from", "bad.yaml"), ("bad.yaml", "dropout: should be less than 1")),
        (("--variants", "none"), ("unknown variant 'none'", "'two convolutions'")),
        (("--runner", "dask"), ("needs the address of a scheduler",)),
        (("--search", "3", "--variants", "relu"), ("give one of",)),
    ],
)
def test_refusals(
    options: tuple[str, ...],
    words: tuple[str, ...],
    *,
    call: Callable[..., Called],
    home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What cannot be served is refused in one line with exit status 2, before a server starts or a file is made."""
    monkeypatch.chdir(tmp_path)
    Path("bad.yaml").write_text(BAD_FILE)
    called = call("experiment", *options)
    assert (called.status, called.stdout, called.stderr.count("\n")) == (2, "", 1)
    assert all(word in called.stderr for word in words), called.stderr
    assert not home.exists()
