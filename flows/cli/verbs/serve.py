"""The verb `serve`: a web app on loopback to draw digits, see what the champion reads, and correct it."""

import contextlib
import socket
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from artifacts.errors import UsageError
from artifacts.storage.home import NATIVE_LOG
from artifacts.storage.settings import Settings
from flows.cli.output import print_note, redirect_native_stderr
from flows.cli.prefect_server import is_server_configured

NO_DEFAULT = Parameter(show_default=False)


def serve(
    *,
    port: Annotated[int, Parameter(validator=Number(gte=0, lt=2**16))] = 8000,
    model: Annotated[int | None, NO_DEFAULT] = None,
    dataset: Annotated[str | None, NO_DEFAULT] = None,
    unsure_below: Annotated[float | None, Parameter(validator=Number(gte=0, lte=1), show_default=False)] = None,
) -> int:
    """Serve a page on which to draw a digit, see what the champion reads, and correct it, until Ctrl-C.

    The server follows the champion when it changes. Corrections become batches for retraining, as those of: digitflow
    data add. Programs can POST to /predict, and GET /health and /metrics (Prometheus).

    Parameters
    ----------
    port: int
        Port of the loopback address; 0 takes any free port.
    model: int
        Number of a version to serve all the time, in place of the champion.
    dataset: str
        Data set of the model; needed if several data sets have one.
    unsure_below: float
        Answer that the model is unsure where the probability is below this, such as 0.8.
    """
    from flows.cli.verbs.data import announce_batch
    from tasks.prediction.champion_follower import ChampionFollower

    settings = Settings.load()
    with _listen(port) as listener, redirect_native_stderr(settings.home / NATIVE_LOG):
        follower = ChampionFollower(settings, dataset, model)
        import uvicorn

        from flows.web.app import build_app

        announce = announce_batch if is_server_configured() else lambda _: None
        app = build_app(follower, settings.home, announce, unsure_below)
        config = uvicorn.Config(app, log_level="warning", limit_concurrency=64, timeout_graceful_shutdown=5)
        version, _ = follower.current
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        print_note(f"serving version {version.version} of {version.dataset} on {url} until Ctrl-C")
        with contextlib.suppress(KeyboardInterrupt):  # uvicorn raises the signal that ended it again
            uvicorn.Server(config).run([listener])
    return 0


def _listen(port: int) -> socket.socket:
    try:
        return socket.create_server(("127.0.0.1", port))
    except OSError as error:
        raise UsageError(f"port {port} cannot be used: {error.strerror}; choose another with --port") from None
