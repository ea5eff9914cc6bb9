"""The verb `data`: put labelled batches into the inbox that retraining learns from, and list their states."""

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from artifacts.storage.settings import Settings
from flows.cli.output import show_json, show_table
from flows.cli.prefect_server import await_configured_server, flush_events, is_server_configured
from flows.cli.switch import Switch
from tasks.retraining import feedback
from tasks.retraining.batch_formats import BATCH_FORMATS
from tasks.retraining.inbox import add_batch, waiting_batches
from tasks.retraining.ledger import accepted_batches
from tasks.retraining.quarantine import quarantined_batches

data = App(name="data", help="Add labelled batches for retraining, and list their states.")


@data.default
def show(*, json: Switch = False) -> int:
    """List the batches that wait in the inbox, are accepted or are in quarantine, and the corrections that wait.

    Parameters
    ----------
    json: bool
        Print one JSON list on stdout.
    """
    store = Settings.load().artifacts
    rows = [
        *((path.name, "waiting", "") for path in waiting_batches(store.home)),
        *((entry.name, "collecting", f"{entry.corrections} corrections") for entry in feedback.waiting(store.home)),
        *((batch.name, "accepted", f"{batch.data.labels.shape[0]} images") for batch in accepted_batches(store)),
        *((path.parent.name, "quarantine", f"{reason}; see {path}") for path, reason in quarantined_batches(store)),
    ]
    if json:
        show_json([dict(zip(("batch", "state", "detail"), row, strict=True)) for row in rows])
    else:
        show_table([("BATCH", "STATE", "DETAIL"), *rows])
    return 0


@data.command
def add(
    path: Annotated[Path, Parameter(help=f"{BATCH_FORMATS[0].upper()}{BATCH_FORMATS[1:]}.")], *, json: Switch = False
) -> int:
    """Put a copy of a batch into the inbox, and tell the Prefect server, if one is configured, so that it can retrain.

    Example: digitflow data add corrections.npz

    Parameters
    ----------
    json: bool
        Print one JSON object on stdout.
    """
    has_server = is_server_configured()
    if has_server:
        await_configured_server()
    batch = add_batch(path.expanduser(), Settings.load().home)
    if has_server:
        announce_batch(batch.name)
    if json:
        show_json({"batch": batch.name, "told": has_server})
    else:
        show_table([("added", str(batch)), ("next", "retraining judges it" + ("; Prefect was notified" * has_server))])
    return 0


def announce_batch(name: str) -> None:
    """Emit the event of a new batch to Prefect's server, so that its automations can start a retraining."""
    from prefect.events import emit_event

    emit_event("digitflow.batch.added", {"prefect.resource.id": "digitflow.inbox"}, payload={"batch": name})
    flush_events()
