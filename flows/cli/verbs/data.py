"""The verb `data`: put labelled batches into the inbox that retraining learns from, and see what became of them."""

from pathlib import Path
from typing import Annotated

from cyclopts import App

from artifacts.storage.settings import Settings
from flows.cli import output as console
from flows.cli.options import Flag
from flows.cli.prefect_server import await_configured, flush, is_configured
from tasks.retraining.feedback import waiting
from tasks.retraining.inbox import accepted, add, quarantined

data = App(name="data", help="Add labelled batches for retraining, and list what became of them.")


@data.default
def show(*, json: Annotated[bool, Flag] = False) -> int:
    """List the batches: waiting in the inbox, accepted, or in quarantine; and the corrections that will be batches.

    Parameters
    ----------
    json: bool
        Print one JSON list on stdout.
    """
    store = Settings.load().artifacts
    arrived = [path.name for path in sorted((store.home / "inbox").glob("*")) if not path.name.startswith(".")]
    rows = [
        *((name, "waiting", "") for name in arrived),
        *((name, "collecting", f"{len(found)} corrections") for name, found in waiting(store.home).items()),
        *((batch.name, "accepted", f"{batch.data.labels.shape[0]} images") for batch in accepted(store)),
        *((path.parent.name, "quarantine", f"{why}; see {path}") for path, why in quarantined(store)),
    ]
    if json:
        console.show_json([dict(zip(("batch", "state", "detail"), row, strict=True)) for row in rows])
    else:
        console.show_table([("BATCH", "STATE", "DETAIL"), *rows])
    return 0


@data.command(name="add")
def add_batch(path: Path, *, json: Annotated[bool, Flag] = False) -> int:
    """Put a copy of a batch into the inbox; where a Prefect server is named, tell it, so that retraining may start.

    Example: digitflow data add corrections.npz

    Parameters
    ----------
    path: Path
        A .npz file with images and labels, a folder with an IDX pair, or a folder of images with a labels.csv.
    json: bool
        Print one JSON object on stdout.
    """
    told = is_configured()
    if told:
        await_configured()
    placed = add(path.expanduser(), Settings.load().home)
    if told:
        announce(placed.name)
    if json:
        console.show_json({"batch": placed.name, "told": told})
    else:
        console.show_table([("added", str(placed)), ("next", "retraining judges it" + (", and was told" * told))])
    return 0


def announce(batch: str) -> None:
    """Tell Prefect's server of a new batch, so that a deployment may learn from it."""
    from prefect.events import emit_event

    emit_event("digitflow.batch.added", {"prefect.resource.id": "digitflow.inbox"}, payload={"batch": batch})
    flush()
