"""`digitflow ui` shows Prefect's or MLflow's page of a home on loopback, or names the server that has it."""

import socket
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import httpx
import pytest

from artifacts.errors import UsageError
from flows.cli import pages
from tests.command import assert_refused, digitflow, interrupt, started

UNSET = {"PREFECT_API_URL": None, "MLFLOW_TRACKING_URI": None}


@pytest.mark.parametrize(
    ("page", "variable", "value", "address"),
    [
        ("prefect", "PREFECT_API_URL", "http://127.0.0.1:9/api", "http://127.0.0.1:9"),
        ("mlflow", "MLFLOW_TRACKING_URI", "http://me:s3cret@127.0.0.1:9", "http://127.0.0.1:9"),
    ],
)
def test_named_server(page: str, variable: str, value: str, address: str, tmp_path: Path) -> None:
    """If a server is named, its address is printed, without a password, and nothing is started."""
    run = digitflow("ui", page, DIGITFLOW_HOME=str(tmp_path / "home"), **(UNSET | {variable: value}))
    assert (run.returncode, run.stdout, run.stderr) == (0, f"{address}\n", "")
    assert not (tmp_path / "home").exists()


def test_taken_port(tmp_path: Path) -> None:
    """A port that another program has is one error, which names it."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        run = digitflow("ui", "mlflow", "--port", port, DIGITFLOW_HOME=str(tmp_path / "home"), **UNSET)
    assert_refused(run, 2, f"port {port} cannot be used", "--port")


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """With MLflow's client alone, the error says how to add the page."""

    def missing(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(pages, "version", missing)
    with pytest.raises(UsageError, match=r"add the extra ui: .*\[ui\]"):
        pages.require_mlflow_pages()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("page", "title", "place"),
    [("prefect", "Prefect", ""), ("mlflow", "MLflow", "/#/experiments/1?workflowType=machine_learning")],
)
def test_page_and_its_end(page: str, title: str, place: str, tmp_path: Path) -> None:
    """The first line is the address of a page that answers; after Ctrl-C, with status 0, nothing does."""
    with started("ui", page, DIGITFLOW_HOME=str(tmp_path / "a home"), **UNSET) as process:
        assert process.stdout
        address = process.stdout.readline().strip()
        assert address.endswith(place)
        assert f"<title>{title}" in httpx.get(address, follow_redirects=True, timeout=60).text
        assert interrupt(process).returncode == 0
    with pytest.raises(httpx.ConnectError):
        httpx.get(address)
