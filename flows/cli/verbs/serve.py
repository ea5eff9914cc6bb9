"""The verb `serve`: a web app on loopback to draw digits, see what the champion reads, and correct it."""

import contextlib
import socket
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from artifacts.errors import UsageError
from artifacts.storage.settings import Settings
from flows.cli import output as console
from flows.cli.prefect_server import is_configured
from flows.cli.verbs.data import announce
from tasks.prediction.classifier import ChampionFollower

Optional = Parameter(show_default=False)


def serve(
    *,
    port: Annotated[int, Parameter(validator=Number(gte=0, lt=2**16))] = 8000,
    model: Annotated[int | None, Optional] = None,
    dataset: Annotated[str | None, Optional] = None,
) -> int:
    """Serve a page on which to draw a digit, see what the champion reads, and correct it; until Ctrl-C.

    It follows the champion when that changes. Corrections become batches for retraining, as by: digitflow data add.
    Programs can POST to /predict, and GET /health and /metrics (Prometheus).

    Parameters
    ----------
    port: int
        Of the loopback address; 0: any that is free.
    model: int
        Number of a version to use for good, in place of the champion.
    dataset: str
        Needed if several data sets have such a model.
    """
    settings = Settings.load()
    try:
        listening = socket.create_server(("127.0.0.1", port))
    except OSError as error:
        raise UsageError(f"port {port} cannot be used: {error.strerror}; choose another with --port") from None
    with listening, console.native_output_in(settings.home / "native.log"):
        following = ChampionFollower(settings, dataset, model)
        import uvicorn

        from flows.web.app import build

        app = build(following, settings.home, announce if is_configured() else lambda _: None)
        config = uvicorn.Config(app, log_level="warning", limit_concurrency=64, timeout_graceful_shutdown=5)
        version = following.current[0]
        console.say(
            f"serving version {version.version} of {version.dataset} on "
            f"http://127.0.0.1:{listening.getsockname()[1]} until Ctrl-C"
        )
        with contextlib.suppress(KeyboardInterrupt):  # how uvicorn passes on what ended it
            uvicorn.Server(config).run([listening])
    return 0
