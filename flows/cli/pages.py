"""MLflow's page on a home: a server process on loopback that ends with its parent, even by kill -9.

Run as a module, this file is the server process: its arguments are the descriptor of the socket and the home.
"""

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from artifacts.errors import DigitflowError, UsageError
from artifacts.storage.home import MLFLOW
from flows.cli.servers import STARTUP
from tasks.registry.mlflow_client import EXPERIMENT

LOG = "page.log"


def require_mlflow_pages() -> None:
    """Raises UsageError if only MLflow's client is installed."""
    try:
        version("mlflow")
    except PackageNotFoundError:
        raise UsageError(
            "MLflow's page is not installed; add the extra ui: "
            ".venv/bin/uv pip install --constraint requirements-dev.lock --editable '.[ui]'"
        ) from None


class MlflowPage:
    """A process that serves MLflow's page of a home on a listening socket, which it takes over."""

    def __init__(self, home: Path, listener: socket.socket):
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self._home, self._socket = home, listener
        self._log = home / MLFLOW / LOG
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process. Raises OSError if its log cannot be written."""
        self._log.parent.mkdir(parents=True, exist_ok=True)
        paths = {"PYTHONPATH": os.pathsep.join(filter(None, map(os.path.abspath, sys.path)))}
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603
                [sys.executable, "-m", "flows.cli.pages", str(self._socket.fileno()), str(self._home)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                pass_fds=[self._socket.fileno()],
                cwd=self._log.parent,  # MLflow makes files in the current folder
                start_new_session=True,  # Ctrl-C reaches only the parent, which then ends this process
                env=os.environ | paths,
            )
        self._socket.close()

    def address(self) -> str:
        """The address of our experiment's runs, once the page answers. Raises httpx.HTTPError.

        Without the type of work in the address, MLflow 3 opens on traces of language models, whatever the experiment.
        """
        import httpx

        asked = {"experiment_name": EXPERIMENT}
        where = f"{self.url}/api/2.0/mlflow/experiments/get-by-name"
        answer = httpx.get(where, params=asked, timeout=STARTUP, trust_env=False).raise_for_status()
        number = answer.json()["experiment"]["experiment_id"]
        return f"{self.url}/#/experiments/{number}?workflowType=machine_learning"

    def wait(self) -> None:
        """Return when the page answers. Raises DigitflowError if the process ends before."""
        import httpx

        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(f"{self.url}/health", timeout=STARTUP, trust_env=False).is_success:
                return
        last = (self._log.read_text(errors="replace").strip() or "nothing").splitlines()[-1]
        raise DigitflowError(f"MLflow's page did not start: its log, {self._log}, ends with: {last}")

    def join(self) -> None:
        """Wait until the process has ended."""
        if self._process:
            self._process.wait()

    def stop(self) -> None:
        """End the process, and wait for its end."""
        if self._process and self._process.stdin:
            self._process.stdin.close()
            self._process.wait()


def _serve(descriptor: int, home: Path) -> None:
    from tasks.registry.mlflow_client import Tracking

    threading.Thread(target=_end_with_parent, daemon=True).start()
    tracking = Tracking(home)
    tracking.open()  # an experiment of a home that was moved, or made by earlier code, is put right
    # what `mlflow server` sets before it runs the same application in several processes of its own
    os.environ |= {
        "_MLFLOW_SERVER_FILE_STORE": tracking.uri,
        "_MLFLOW_SERVER_REGISTRY_STORE": tracking.uri,
        "_MLFLOW_SERVER_ARTIFACT_ROOT": (home / MLFLOW / "artifacts").as_uri(),
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    import uvicorn

    uvicorn.run("mlflow.server.fastapi_app:app", fd=descriptor, log_level="warning")


def _end_with_parent() -> None:
    """End this process with its parent. It only reads, but for what a person just asked for on the page."""
    os.read(sys.stdin.fileno(), 1)
    time.sleep(0.1)
    os._exit(0)


if __name__ == "__main__":
    _serve(int(sys.argv[1]), Path(sys.argv[2]))
