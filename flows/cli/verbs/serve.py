"""The verbs `serve`, a web app on loopback to draw digits, see what the champion reads, and correct it, `ui`, Prefect's
or MLflow's page, and `drift`, how far the images that came in are from those that the model learned from."""

import os
import socket
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from artifacts.errors import DigitflowError, UsageError, hide_passwords, suggest
from artifacts.interrupts import until_interrupted
from artifacts.lineage.notices import post, posting
from artifacts.storage.home import NATIVE_LOG, PREFECT
from artifacts.storage.settings import Settings
from flows.cli.output import print_note, redirect_native_stderr, show_json, show_table
from flows.cli.pages import MlflowPage, require_mlflow_pages
from flows.cli.prefect_server import Server
from flows.cli.servers import flush_events, is_server_configured
from flows.cli.switch import Switch
from tasks.registry.registry import Registry

if TYPE_CHECKING:
    from tasks.monitoring.compared_days import ComparedDay

NO_DEFAULT = Parameter(show_default=False)
PAGES = {"prefect": "Prefect", "mlflow": "MLflow"}


def serve(
    *,
    port: Annotated[int, Parameter(validator=Number(gte=0, lt=2**16))] = 8000,
    model: Annotated[int | None, NO_DEFAULT] = None,
    dataset: Annotated[str | None, NO_DEFAULT] = None,
    unsure_below: Annotated[float | None, Parameter(validator=Number(gte=0, lte=1), show_default=False)] = None,
) -> int:
    """Serve a page on which to draw a digit, see what the champion reads, and correct it, until Ctrl-C.

    The server follows the champion when it changes. Corrections become batches for retraining, as those of: digitflow
    data add. Programs can POST to /predict, and GET /health and /metrics (Prometheus); /docs lists all of it. What is
    read is counted, but not kept, for: digitflow drift

    Parameters
    ----------
    port: int
        Port of the loopback address; 0 takes any free port.
    model: int
        Number of a version to serve all the time, in place of the champion.
    dataset: str
        Data set of the model; needed if several data sets have one.
    unsure_below: float
        Answer that the model is unsure where the probability is below this; the page does so below 0.8 without it.
    """
    from flows.cli.verbs.data import announce_batch
    from tasks.prediction.champion_follower import ChampionFollower

    settings = Settings.load()
    with _listen(port) as listener, redirect_native_stderr(settings.home / NATIVE_LOG):
        follower = ChampionFollower(settings, dataset, model)
        import uvicorn

        from flows.web.app import build_app
        from tasks.monitoring.watch import Watch

        has_server = is_server_configured()
        announce = announce_batch if has_server else lambda _: None
        watch = Watch(settings, tell_server if has_server else tell_webhook)
        app = build_app(follower, settings, announce, watch, unsure_below=unsure_below)
        config = uvicorn.Config(app, log_level="warning", limit_concurrency=64, timeout_graceful_shutdown=5)
        version, _ = follower.current
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        print_note(f"serving version {version.version} of {version.dataset} on {url} until Ctrl-C")
        # uvicorn raises the signal that ended it again
        with until_interrupted(), posting(has_server):
            uvicorn.Server(config).run([listener])
    return 0


def ui(
    page: Literal["prefect", "mlflow"] = "prefect",
    *,
    port: Annotated[int, Parameter(validator=Number(gte=0, lt=2**16))] = 0,
) -> int:
    """Show Prefect's page (runs and their steps) or MLflow's (models and experiments) of this home, until Ctrl-C.

    The first line of the output is the page's address. If PREFECT_API_URL or MLFLOW_TRACKING_URI names a server, that
    is the server's, and nothing is started. MLflow's page needs the extra ui.

    Parameters
    ----------
    page: str
        Whose page.
    port: int
        Port of the loopback address; 0 takes any free port.
    """
    if address := _configured_page(page):
        print(address)  # noqa: T201
        return 0
    home = Settings.load().home
    if page == "mlflow":
        require_mlflow_pages()
        Registry(home)  # an address at which there can be no registry is an error now
    with _listen(port) as listener:
        server: Server | MlflowPage
        server = MlflowPage(home, listener) if page == "mlflow" else Server(home / PREFECT, listener, has_page=True)
        with until_interrupted():
            try:
                server.start()
                server.wait()
                address = server.address() if isinstance(server, MlflowPage) else server.url.removesuffix("/api")
                print(address, flush=True)  # noqa: T201
                print_note(f"{PAGES[page]}'s page of {home}, until Ctrl-C")
                server.join()
                raise DigitflowError(f"{PAGES[page]}'s page ended by itself; its log is below {home}; run again")
            finally:
                server.stop()
    return 0


def _configured_page(page: str) -> str:
    """The address of the server that the user named; "" if none was."""
    if page == "mlflow":
        uri = os.environ.get("MLFLOW_TRACKING_URI", "")
        return hide_passwords(uri) if uri.startswith("http") else ""
    if not is_server_configured():
        return ""
    from prefect.settings import PREFECT_API_URL

    return hide_passwords(str(PREFECT_API_URL.value())).rstrip("/").removesuffix("/api")


def drift(
    *,
    dataset: Annotated[str | None, NO_DEFAULT] = None,
    days: Annotated[int, Parameter(validator=Number(gte=1, lte=36500))] = 30,
    json: Switch = False,
) -> int:
    """Show, by day, how far the images that models read are from those that they learned from.

    Counted are the images of: digitflow predict --output, the flow `prediction`, and digitflow serve, as the model saw
    them. The table has the statistic that is furthest above its limit, or nearest below it: the population stability
    index of pixels, shapes and predicted classes. Days are those of UTC.

    Parameters
    ----------
    dataset: str
        Show only the models of this data set.
    days: int
        Number of days to show, up to today.
    json: bool
        Print one JSON list on stdout, with the index and the limit of each statistic.
    """
    from tasks.monitoring.compared_days import compare_days

    found = compare_days(Settings.load().artifacts, datetime.now(UTC).date() - timedelta(days=days - 1))
    names = sorted({day.dataset for day in found})
    if dataset and names and dataset not in names:
        raise UsageError(f"no image that a model of {dataset!r} read was counted; {suggest(dataset, names)}")
    shown = [day for day in found if dataset in (None, day.dataset)]
    if json:
        show_json([day.model_dump(mode="json") | {"is_drift": day.is_drift} for day in shown])
    elif shown:
        show_table([DRIFT_ROW, *map(_drift_row, shown)])
        print_note(_verdict(shown))
    else:
        print_note(
            f"no image was counted in the last {days} days; counted are those that digitflow serve, digitflow predict "
            "--output and the flow prediction read"
        )
    return 0


DRIFT_ROW = ("DAY (UTC)", "DATA SET", "VERSION", "IMAGES", "FURTHEST", "INDEX", "LIMIT", "VERDICT")


def _drift_row(day: "ComparedDay") -> tuple[str, ...]:
    place = str(day.day), day.dataset, str(day.version), f"{day.images:,}"
    if day.worst is None:
        return *place, "", "", "", "the counts of its training images are gone"
    numbers = f"{day.worst.index:.2f}", f"{day.worst.threshold:.2f}"
    return *place, day.worst.statistic, *numbers, "drift" if day.is_drift else "no drift"


def _verdict(days: "list[ComparedDay]") -> str:
    """What the days say, in words; the latest is the first."""
    last = next((day for day in days if day.is_drift), None)
    if last is None:
        return "what was read is like the training images"
    what = " and ".join(one.statistic for one in last.drift if one.is_drift)
    return (
        f"on {last.day} the images that version {last.version} of {last.dataset} read were unlike its training images "
        f"in {what}; look at some of them"
    )


def tell_server(day: "ComparedDay") -> None:
    """Tell Prefect's server of drift."""
    from flows.publication.announcements import announce_drift

    announce_drift(day)
    flush_events()


def tell_webhook(day: "ComparedDay") -> None:
    """Tell the webhook of drift, because there is no server."""
    from flows.publication.announcements import drift_event

    post(*drift_event(day))


def _listen(port: int) -> socket.socket:
    try:
        return socket.create_server(("127.0.0.1", port))
    except OSError as error:
        raise UsageError(f"port {port} cannot be used: {error.strerror}; choose another with --port") from None
