"""Settings come from the environment, and errors name the unusable variables."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from artifacts.errors import UsageError
from artifacts.storage.settings import Settings


def test_environment_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each variable is parsed: mirrors are split, trimmed and end in one slash; an empty variable means none."""
    monkeypatch.setenv("DIGITFLOW_MIRRORS", " https://a.example/x , file:///data/, http://b/ ,")
    monkeypatch.setenv("DIGITFLOW_TIMEOUT", "2.5")
    settings = Settings.load()
    assert settings.mirrors == ("https://a.example/x/", "file:///data/", "http://b/")
    assert settings.timeout == 2.5
    assert settings.home == tmp_path / "home"
    monkeypatch.setenv("DIGITFLOW_MIRRORS", "")
    assert Settings.load().mirrors == ()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", Path("artifacts/home").absolute()),
        ("here", Path("here").absolute()),
        ("~/there", Path.home() / "there"),
    ],
)
def test_home_is_absolute(value: str, expected: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The home does not move when the process changes its folder."""
    monkeypatch.setenv("DIGITFLOW_HOME", value)
    assert Settings.load().home == expected


@pytest.mark.parametrize("below", ["", "deep/home"])
def test_home_is_no_file(below: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home that is a file, or would be inside one, is refused before a command says that it is empty."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DIGITFLOW_HOME", str(tmp_path / "file" / below))
    with pytest.raises(UsageError, match=rf"DIGITFLOW_HOME=.*: {tmp_path}/file is not a folder; correct or unset it"):
        Settings.load()


def test_home_has_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that no folder can have is refused."""
    monkeypatch.setenv("DIGITFLOW_HOME", str(tmp_path / ("a" * 300) / "home"))
    with pytest.raises(UsageError, match=r"DIGITFLOW_HOME=.*: File name too long; correct or unset it"):
        Settings.load()


def test_loading_leaves_no_trace(home: Path) -> None:
    """Reading the settings makes no folder, and they cannot be changed afterwards."""
    settings = Settings.load()
    assert not home.exists()
    with pytest.raises(ValidationError, match="frozen"):
        settings.timeout = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DIGITFLOW_TIMEOUT", "0"),
        ("DIGITFLOW_TIMEOUT", "soon"),
        ("DIGITFLOW_TIMEOUT", "nan"),
        ("DIGITFLOW_TIMEOUT", "601"),
        ("DIGITFLOW_MAX_FILE_BYTES", "-1"),
        ("DIGITFLOW_MIRRORS", "ftp://a"),
        ("DIGITFLOW_MIRRORS", "http://a,b"),
    ],
)
def test_bad_values_are_named(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unusable value is a usage error that names the variable, the value and a remedy."""
    monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match=rf"{name}=.*{value.split(',')[-1]}.*correct or unset it"):
        Settings.load()


def test_all_bad_values_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """One error lists every unusable variable."""
    monkeypatch.setenv("DIGITFLOW_TIMEOUT", "x")
    monkeypatch.setenv("DIGITFLOW_MAX_FILE_BYTES", "y")
    with pytest.raises(UsageError, match=r"DIGITFLOW_TIMEOUT='x'.*DIGITFLOW_MAX_FILE_BYTES='y'"):
        Settings.load()
