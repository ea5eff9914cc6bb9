"""The doctor finds what surrounds a pipeline to be sound or not, and says what to do."""

import http.server
import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from email.utils import formatdate
from importlib.metadata import version
from pathlib import Path
from time import time

import pytest

from artifacts.lineage.manifest import Run
from artifacts.storage.home import MLFLOW
from artifacts.storage.settings import Settings
from artifacts.storage.store import Store
from flows.cli.checks import machine, models, services
from flows.cli.checks.all_checks import check_all
from flows.cli.checks.check import Check
from tasks.registry.registry import Registry
from tests.command import digitflow
from tests.tasks.registry.conftest import register


@pytest.fixture(autouse=True)
def surroundings(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No server, proxy or webhook is named; the mirror is a folder; the port of `make up` is free."""
    for name in ("PREFECT_API_URL", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "DIGITFLOW_WEBHOOK", "DIGITFLOW_STORE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DIGITFLOW_MIRRORS", f"file://{tmp_path}")
    with socket.create_server(("127.0.0.1", 0)) as free:
        monkeypatch.setenv("PORT", str(free.getsockname()[1]))


def found(what: str) -> Check:
    return next(check for check in check_all(Settings.load()) if check.what == what)


class Late(http.server.BaseHTTPRequestHandler):
    """A server whose clock is an hour behind."""

    def do_HEAD(self) -> None:
        self.send_response_only(200)
        self.send_header("Date", formatdate(time() - 3600, usegmt=True))
        self.end_headers()

    do_GET = do_HEAD  # noqa: N815

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def late() -> Iterator[int]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Late) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def test_all_is_well(home: Path) -> None:
    """Where nothing is wrong, each check says so and the status is 0; nothing is written."""
    done = digitflow("doctor", "--json", DIGITFLOW_HOME=str(home / "new"))
    assert done.returncode == 0, done.stdout
    assert {check["what"] for check in json.loads(done.stdout) if check["state"] != "ok"} <= {"clock", "disk"}
    assert not (home / "new").exists()


def test_remedies_are_shown(home: Path) -> None:
    """A problem is shown with what to do, and the status is 1."""
    done = digitflow("doctor", DIGITFLOW_HOME=str(home), DIGITFLOW_WEBHOOK="tell me")
    assert done.returncode == 1 and done.stderr == ""
    assert "DIGITFLOW_WEBHOOK is no http:// or https:// URL" in done.stdout and "correct it, or unset it" in done.stdout


def test_packages_that_are_not_the_locked_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another version than the locked one is named with both; a package that is not installed is none."""
    (tmp_path / "lock").write_text(f"numpy==0.1 \\\nkeras=={version('keras')} \\\nnot-installed==1.0 \\\n")
    monkeypatch.setattr(machine, "LOCK", tmp_path / "lock")
    assert found("packages") == ("packages", "problem", f"numpy {version('numpy')}, not 0.1", "make setup")


@pytest.mark.parametrize(
    ("place", "state"),
    [("mlflow/mlflow.db", "problem"), ("corrections/corrections.db", "problem"), ("prefect/prefect.db", "note")],
)
def test_damaged_database(place: str, state: str, home: Path) -> None:
    """A damaged registry is a problem. Prefect's history is not: the next start sets it aside."""
    (home / place).parent.mkdir(parents=True)
    (home / place).write_bytes(b"SQLite format 3\0" + b"damaged" * 1000)
    assert found("databases").state == state and place in found("databases").found


def test_forbidden_database(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that this user may not write is not called damaged: nobody is told to replace it."""
    (home / "mlflow").mkdir(parents=True)
    (home / "mlflow/mlflow.db").touch()
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert "cannot be read and written by this user" in found("databases").found
    assert found("databases").remedy == "change the owner or the permissions"


def test_home_in_use(home: Path, digits_folder: Path) -> None:
    """A home after a run has no problem, whatever the run left there."""
    train = ("train", "--dataset", digits_folder, "--epochs", "1", "--until", "validate")
    assert digitflow(*train, DIGITFLOW_HOME=str(home)).returncode == 0
    assert [found(what).state for what in ("home", "databases", "batches")] == ["ok"] * 3


def test_wrong_clock(late: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that is far from a mirror's is a problem."""
    monkeypatch.setenv("DIGITFLOW_MIRRORS", f"http://127.0.0.1:{late}/")
    assert found("clock").state == "problem" and "s ahead of" in found("clock").found


def test_mirrors_that_do_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """No mirror is a note, since own data need none; it names the mirror and the reason."""
    monkeypatch.setenv("DIGITFLOW_MIRRORS", "http://127.0.0.1:9/")
    assert found("mirrors").state == "note" and "http://127.0.0.1:9/ (" in found("mirrors").found


def test_port_of_a_stranger(late: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another program on the port of `make up` is said, with another port."""
    monkeypatch.setenv("PORT", str(late))
    assert found("port of make up")[1:] == ("note", f"{late} has another program", f"make up PORT={late + 1}")


def test_what_was_not_looked_at_is_not_ok(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry whose database is not opened is a note, and the database is not created."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{home}/elsewhere.db")
    assert found("model registry").state == "note"
    assert not (home / "elsewhere.db").exists()


@pytest.mark.parametrize("lose", [Path.unlink, lambda path: path.write_bytes(b"")], ids=["removed", "emptied"])
def test_lost_registry(lose: Callable[[Path], object], home: Path) -> None:
    """A registry without versions is a problem if a run registered one in it, and else is none."""
    assert found("model registry")[1:] == ("ok", "local, no versions yet", "")
    register(Store(home), 1)
    fields = {"dataset": "digits", "recipe": "tutorial", "seed": 0, "hyperparameters": {}, "gate": {}}
    with Run.recording(Store(home), run="20260101-first", **fields) as run:
        run.finish("passed", registry="local", version=1)
    assert found("model registry").state == "ok"
    lose(home / MLFLOW / "mlflow.db")
    told = digitflow("doctor", "--json")  # a new process: in this one, MLflow has the database open
    (check,) = [check for check in json.loads(told.stdout) if check["what"] == "model registry"]
    assert (check["state"], told.returncode) == ("problem", 1) and "the run 20260101-first" in check["found"]
    assert str(home / MLFLOW) in check["remedy"]


def test_old_version_that_was_deleted(home: Path) -> None:
    """An old version that somebody deleted in MLflow, while a later one is there, is no loss."""
    for number in (1, 2):
        register(Store(home), number)
    fields = {"dataset": "digits", "recipe": "tutorial", "seed": 0, "hyperparameters": {}, "gate": {}}
    with Run.recording(Store(home), run="20260101-first", **fields) as run:
        run.finish("passed", registry="local", version=1)
    Registry(home).tracking.client.delete_model_version("digitflow-digits", "1")
    assert [version.version for version in Registry(home).versions()] == [2]
    assert found("model registry").state == "ok"


@pytest.mark.parametrize(("days", "state"), [(1, "ok"), (4, "note")])
def test_stale_champion(days: int, state: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A champion that nothing confirmed for DIGITFLOW_STALE_DAYS days is a note, with its age and what to do."""
    registry = Registry(home)
    registry.promote(register(Store(home), 1), "the first", None)
    monkeypatch.setenv("DIGITFLOW_STALE_DAYS", "3")
    monkeypatch.setattr(models, "time", lambda: time() + days * 24 * 3600)
    check = found("model registry")
    assert check.state == state and ("version 1 of digits, last 4 d ago" in check.found) == (state == "note")
    assert ("retrain" in check.remedy) == (state == "note")


@pytest.mark.parametrize(
    ("what", "variables"),
    [
        ("nightly", {"DIGITFLOW_CRON": "0 30 * * *"}),
        ("nightly", {"DIGITFLOW_TIMEZONE": "Europe/Atlantis"}),
        ("nightly", {"DIGITFLOW_NIGHTLY": "sometimes"}),
        ("shared inbox", {"DIGITFLOW_INBOX": "file:///no/such/folder"}),
        ("home", {"DIGITFLOW_HOME": "/proc/home"}),
    ],
)
def test_variables_that_will_not_do(what: str, variables: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable whose value cannot serve is a problem, with the value and the variable."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
        assert found(what).state == "problem"
        assert value in found(what).found and name in found(what).found + found(what).remedy


def test_nightly_schedule(monkeypatch: pytest.MonkeyPatch) -> None:
    """A schedule that Prefect understands is sound."""
    monkeypatch.setenv("DIGITFLOW_CRON", "30 2 * * *")
    monkeypatch.setenv("DIGITFLOW_TIMEZONE", "Europe/Berlin")
    assert found("nightly").state == "ok"


def test_damaged_ledger(home: Path) -> None:
    """A ledger of batches that cannot be read is a problem: every retraining would end."""
    (home / "batches").mkdir(parents=True)
    (home / "batches" / "mnist.json").write_text("[{")
    assert found("batches").state == "problem" and "mnist.json" in found("batches").found


def test_server_that_is_none(late: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A named server that does not answer as Prefect does is a problem, and so are its worker and registry."""
    monkeypatch.setenv("PREFECT_API_URL", f"http://127.0.0.1:{late}/api")
    assert found("Prefect's server").state == "problem"
    assert "not known" in found("worker").found and "not known" in found("deployments").found


def test_locks_that_nobody_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shared locks that cannot be had are a problem: every step would wait for them."""
    monkeypatch.setenv("DIGITFLOW_LOCKS", "redis://127.0.0.1:9")
    monkeypatch.setattr(services, "PATIENCE", 0.5)
    check = found("shared locks")
    assert check.state == "problem" and "redis://127.0.0.1:9" in check.found


def test_proxy_with_a_password(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy is named without its password."""
    monkeypatch.setenv("HTTP_PROXY", "http://me:secret@127.0.0.1:9")
    assert "http through http://127.0.0.1:9" in found("proxies").found


@pytest.mark.prefect
def test_server_without_a_worker(api: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server on which nothing was deployed answers, has no work pool, and the next command is named."""
    monkeypatch.setenv("PREFECT_API_URL", api)
    assert found("Prefect's server").state == "ok"
    assert found("worker")[1::2] == ("problem", "make deploy")
