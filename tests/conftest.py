"""What tests share: a store of their own, small real data, the full MNIST, and a mirror that serves it."""

import functools
import gzip
import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock
from xdist.scheduler.loadfile import LoadFileScheduling

from artifacts.storage.store import Store
from tasks.data import idx
from tasks.data.datasets import FILES
from tests.command import Finished, digitflow

sys.dont_write_bytecode = False  # else each of hundreds of processes compiles the project anew
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

SHARED = "tests/deployments/server/"
"""The tests that share a server and a worker."""
Arrays = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty DIGITFLOW_HOME for each test; no setting of the user's reaches it."""
    for name in [name for name in os.environ if name.startswith("DIGITFLOW_") and "_TEST_" not in name]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("DIGITFLOW_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def call(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Finished]:
    """Call the command line in this process, as if it were a new one: for tests to which a process does not matter."""
    from flows import preview
    from flows.cli.app import main

    def call(*arguments: object, **variables: str) -> Finished:
        with monkeypatch.context() as patch, warnings.catch_warnings(), pytest.raises(SystemExit) as ended:
            for name, value in variables.items():
                patch.setenv(name, value)
            patch.setattr(preview, "_warmed", set())
            patch.setattr(sys, "argv", ["digitflow", *map(str, arguments)])
            capfd.readouterr()
            main()
        return Finished(arguments, int(ended.value.code or 0), *capfd.readouterr())

    return call


@pytest.fixture(scope="module")
def smoke_test_here() -> Iterator[None]:
    """Smoke tests run in this process, which has imported Keras: for tests of other steps. A new process takes 3 s."""
    from tasks.evaluation import smoke_test

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(smoke_test, "_waiting", [])
        patch.setattr(smoke_test, "_new_process", _SmokeTestHere)
        yield


class _SmokeTestHere:
    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        from tasks.evaluation.smoke_test import answer_smoke_test

        return answer_smoke_test(request, Store(Path(request["home"])))

    def stop(self) -> None:
        pass


@pytest.fixture
def without_heic(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra `heic` is not installed."""
    monkeypatch.setitem(sys.modules, "pillow_heif", None)


@pytest.fixture
def store(home: Path) -> Store:
    return Store(home)


@pytest.fixture(scope="session")
def digits() -> Arrays:
    """1,797 real digits of 8 by 8 pixels that scikit-learn ships, in the order of FILES; the last 297 are the test."""
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    images = np.clip(pixels * 16, 0, 255).astype(np.uint8).reshape(-1, 8, 8)
    labels = labels.astype(np.uint8)
    return images[:1500], labels[:1500], images[1500:], labels[1500:]


def write_idx(folder: Path, arrays: Arrays, packed: bool = True) -> Path:
    """A folder with the four IDX files of a data set."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in zip(FILES, arrays, strict=True):
        data = idx.encode(array)
        (folder / f"{name}.gz" if packed else folder / name).write_bytes(gzip.compress(data, 1) if packed else data)
    return folder


@pytest.fixture
def digits_folder(tmp_path: Path, digits: Arrays) -> Path:
    return write_idx(tmp_path / "digits", digits)


@pytest.fixture(scope="session")
def mnist_folder() -> Path:
    """The four gzipped files of the real MNIST. CI names their folder in DIGITFLOW_TEST_MNIST."""
    return Path(os.environ["DIGITFLOW_TEST_MNIST"])


@pytest.fixture(scope="session")
def mnist_arrays(mnist_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Arrays:
    store, scratch = Store(tmp_path_factory.mktemp("mnist")), tmp_path_factory.mktemp("unpacked")
    arrays = []
    for name in FILES:
        idx.decompress(mnist_folder / f"{name}.gz", scratch / name, 2**26)
        arrays.append(store.get(idx.store_array(scratch / name, 3 if "images" in name else 1, store)))
    return tuple(arrays)  # type: ignore[return-value]


def serve(folder: Path) -> Iterator[str]:
    """Serve a folder over HTTP on loopback; yields its base URL."""
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def received(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """What the webhook that DIGITFLOW_WEBHOOK names has received."""
    bodies: list[Any] = []

    class Receiver(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response_only(204)
            self.end_headers()

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("DIGITFLOW_WEBHOOK", f"http://127.0.0.1:{server.server_port}/")
        yield bodies
        server.shutdown()


@pytest.fixture(scope="session")
def mnist_mirror(mnist_folder: Path) -> Iterator[str]:
    yield from serve(mnist_folder)


@pytest.fixture(scope="session")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One Prefect server for the whole session, which this process and those it starts talk to; yields its URL."""
    yield from serve_prefect(tmp_path_factory.mktemp("prefect"))


def serve_prefect(folder: Path) -> Iterator[str]:
    """A Prefect server that this process and those it starts talk to; yields its URL."""
    from prefect.settings import PREFECT_API_URL, temporary_settings

    from flows.cli.prefect_server import Server
    from flows.cli.servers import flush_events

    server = Server(folder)
    with pytest.MonkeyPatch.context() as patch, temporary_settings({PREFECT_API_URL: server.url}):
        with pytest.MonkeyPatch.context() as unused:  # of this server only: those of live tests need them
            for service in ("TASK_RUN_RECORDER", "EVENT_PERSISTER", "TRIGGERS", "SCHEDULER", "LATE_RUNS", "FOREMAN"):
                unused.setenv(f"PREFECT_SERVER_SERVICES_{service}_ENABLED", "false")  # half of its time
            server.start()
        patch.setenv("PREFECT_API_URL", server.url)
        server.wait()
        yield server.url
        flush_events()
    server.stop()


@pytest.fixture(scope="session")
def in_use(api: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose champion, version 1 of mnist-sample, reads most digits. Copy it to change it.

    All workers of a session have the same one.
    """
    own = tmp_path_factory.getbasetemp()
    home = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "in-use" / "home"
    with FileLock(f"{home.parent}.lock"):
        if not home.exists():
            train = ("train", "--dataset", "mnist-sample", "--epochs", 8, "--json")
            done = digitflow(*train, DIGITFLOW_HOME=str(home))
            if done.returncode:
                shutil.rmtree(home, ignore_errors=True)  # no other worker takes it for whole
            assert done.returncode == 0, done.stderr
    return home


@functools.cache
def _can_make_networks() -> bool:
    """Whether a network namespace with a bridge can be made; this one is gone at once."""
    if not (shutil.which("unshare") and shutil.which("ip")):
        return False
    command = ["unshare", "--net", "ip", "link", "add", "name", "switch", "type", "bridge"]
    return subprocess.run(command, capture_output=True).returncode == 0


NEEDS = {
    "full_mnist": (
        lambda: bool(os.environ.get("DIGITFLOW_TEST_MNIST")),
        "DIGITFLOW_TEST_MNIST names no folder with the real MNIST",
    ),
    "postgres": (
        lambda: bool(os.environ.get("DIGITFLOW_TEST_POSTGRES")),
        "DIGITFLOW_TEST_POSTGRES names no folder with PostgreSQL's programs",
    ),
    "namespaces": (_can_make_networks, "no network can be made: that needs root's rights, and ip from iproute2"),
    "redis": (lambda: bool(shutil.which("redis-server")), "redis-server is not installed"),
    "browser": (
        lambda: bool(shutil.which("chromium") and shutil.which("chromedriver")),
        "chromium and chromedriver are not installed",
    ),
}


class _OneServer(LoadFileScheduling):  # type: ignore[misc]
    """A worker gets a file at a time, but all that share the server of SHARED: a second one would cost minutes."""

    def _split_scope(self, nodeid: str) -> str:
        return SHARED if nodeid.startswith(SHARED) else str(super()._split_scope(nodeid))


@pytest.hookimpl(tryfirst=True, optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> _OneServer:
    return _OneServer(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests that need what is not at hand. What takes longest comes first."""
    items.sort(key=lambda item: not item.nodeid.startswith(SHARED))
    for marker, (is_at_hand, _) in NEEDS.items():
        needy = [item for item in items if item.get_closest_marker(marker)]
        if needy and not is_at_hand():
            config.hook.pytest_deselected(items=needy)
            items[:] = [item for item in items if item not in needy]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for marker, (is_at_hand, lack) in NEEDS.items():
        if not is_at_hand():
            terminalreporter.write_line(f"tests marked {marker} were left out: {lack}")
