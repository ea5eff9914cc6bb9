"""The verb `data`: check people's own data, put labelled batches into the inbox, and list their states."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from artifacts.errors import DigitflowError, UsageError
from artifacts.storage.home import CHECKS
from artifacts.storage.settings import Settings
from artifacts.storage.store import Store
from flows.cli.output import show_json, show_table
from flows.cli.prefect_server import await_configured_server, flush_events, is_server_configured
from flows.cli.switch import Switch
from tasks.data.datasets import BATCH_FORMATS

if TYPE_CHECKING:
    from tasks.data.datasets import Source
    from tasks.data.inspection.inspect import Inspection
    from tasks.data.reader.read import Stored
    from tasks.retraining.batch_formats import Target
    from tasks.retraining.ledger import Batch

data = App(name="data", help="Check your own data, add labelled batches for retraining, and list their states.")

SHOWN = 40
"""Classes that the table names."""


@data.default
def show(*, json: Switch = False) -> int:
    """List the batches that wait in the inbox, are accepted or are in quarantine, and the corrections that wait.

    Parameters
    ----------
    json: bool
        Print one JSON list on stdout.
    """
    from tasks.retraining import feedback
    from tasks.retraining.inbox import waiting_batches
    from tasks.retraining.ledger import accepted_batches
    from tasks.retraining.quarantine import quarantined_batches

    store = Settings.load().artifacts
    rows = [
        *((path.name, "waiting", "") for path in waiting_batches(store.home)),
        *((entry.name, "collecting", f"{entry.corrections} corrections") for entry in feedback.waiting(store.home)),
        *((batch.name, "accepted", _describe(batch)) for batch in accepted_batches(store)),
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
    """Check a batch, put a copy of it into the inbox, and tell the Prefect server, if one is configured, so that it can
    retrain. A batch that could not be learned from is refused with exit status 2.

    Example: digitflow data add corrections.npz

    Parameters
    ----------
    json: bool
        Print one JSON object on stdout.
    """
    settings, has_server, path = Settings.load(), is_server_configured(), path.expanduser()
    if not path.exists():
        raise UsageError(f"there is no batch {path}; give {BATCH_FORMATS}")
    from tasks.retraining.batch_formats import check_batch, dataset_named_in
    from tasks.retraining.inbox import add_batch

    with settings.artifacts.scratch() as folder:
        targets = _targets(dataset_named_in(path), settings)
        remarks = check_batch(path, Store(folder), settings.max_file_bytes, targets)
    if has_server:
        await_configured_server()
    batch = add_batch(path, settings.home)
    if has_server:
        announce_batch(batch.name)
    if json:
        show_json({"batch": batch.name, "told": has_server, "remarks": remarks})
    else:
        rows = [("added", str(batch)), *(("note", remark) for remark in remarks)]
        show_table([*rows, ("next", "retraining judges it" + ("; Prefect was notified" * has_server))])
    return 0


@data.command
def check(
    path: Annotated[str, Parameter(help="Folder, file or URL of a data set, as for train --dataset.")],
    *,
    fix: Annotated[Path | None, Parameter(show_default=False)] = None,
    transpose: Annotated[bool | None, Parameter(negative="--no-transpose", show_default=False)] = None,
    drop_copies: Switch = False,
    json: Switch = False,
) -> int:
    """Show what a data set is, and every problem that it has, with a remedy, in seconds; nothing is trained.

    Example: digitflow data check cards/ --fix cards-fixed

    Parameters
    ----------
    fix: Path
        Write a sound copy into this new folder: without copies across the splits, labels from 0, images of one size.
    transpose: bool
        Turn the images of the copy about their diagonal, or do not. Default: if they seem to lie on their side.
    drop_copies: bool
        Leave copies within a split out of the copy, and all of those with different labels. Default: they stay.
    json: bool
        Print one JSON object on stdout.
    """
    for option, is_given in (("--transpose", transpose is not None), ("--drop-copies", drop_copies)):
        if is_given and fix is None:
            raise UsageError(f"{option} is about the copy that --fix writes; give both")
    from tasks.data.inspection.inspect import inspect
    from tasks.data.inspection.repair import repair
    from tasks.data.reader.place import locate_data

    settings = Settings.load()
    source, place = locate_data(path, settings.home, settings.max_file_bytes)
    fixed: dict[str, Any] = {}
    refusal: UsageError | None = None
    with settings.artifacts.scratch() as folder:
        inspected = inspect(source, place, store := Store(folder))
        grid = _draw(inspected.stored, source, settings, store)
        try:
            fixed = repair(inspected, fix, store, transpose, drop_copies)._asdict() if fix else {}
        except UsageError as error:
            refusal = error
    found = inspected.inspection
    if json:
        plain = {"folder": str(fixed["folder"]), "done": fixed["done"]} if fixed else None
        show_json(found.model_dump(mode="json") | {"grid": grid, "sound": not found.errors, "fixed": plain})
    else:
        show_table(_rows(found, grid, fixed, path))
    if refusal:
        raise refusal
    return 0 if fixed or not found.errors else UsageError.exit_code


def _draw(stored: "Stored | None", source: "Source", settings: Settings, store: Store) -> str:
    """The path of a picture of samples; nothing if there are none."""
    from tasks.data.inspection.grid import draw_grid

    if stored is None:
        return ""
    name = f"{CHECKS}/{re.sub(r'[^a-zA-Z0-9]+', '-', source.name)[:64]}-{source.digests[0][:12]}.png"
    return str(settings.artifacts.write(name, draw_grid(stored.splits, store)))


def _rows(found: "Inspection", grid: str, fixed: dict[str, Any], path: str) -> list[tuple[str, str]]:
    rows = [("data", f"{found.name}: {found.what} in {found.path}")]
    if found.classes:
        size = f"{found.width}×{found.height}"
        rows += [("images", f"{found.train_images:,} to train on, {found.test_images:,} to test, {size} pixels")]
        rows += [("classes", f"{len(found.classes)}: label (name): images to train on + to test")]
        rows += [("", _class_row(found, i)) for i in range(0, min(SHOWN, len(found.classes)), 10)]
    rows += [("note", note) for note in found.notes]
    rows += [(problem.severity, problem.message) for problem in found.problems]
    rows += [("samples", grid)] if grid else []
    rows += [("fixed", done) for done in fixed.get("done", ())]
    if fixed:
        return [*rows, ("written", str(fixed["folder"]))]
    if not found.problems:
        return [*rows, ("verdict", "sound")]
    if found.is_repairable:
        rows += [("next", f"{found.mending(path)} writes a copy without what can be mended")]
    return [*rows, ("verdict", "it cannot be trained on as it is" if found.errors else "it can be trained on")]


def _class_row(found: "Inspection", start: int) -> str:
    return ", ".join(
        f"{one.label}{f' ({one.name})' if one.name else ''}: {one.train:,} + {one.test:,}"
        for one in found.classes[start : start + 10]
    )


def _describe(batch: "Batch") -> str:
    left_out = f"; {batch.left_out} more, test images or unreadable, are left out" if batch.left_out else ""
    return f"{batch.data.labels.shape[0]} images{left_out}"


def _targets(dataset: str | None, settings: Settings) -> "list[Target]":
    """What a batch could be for: the data set that it names, or each that has a champion; none if that is not known."""
    from tasks.registry.registry import Registry
    from tasks.registry.versions import CHAMPION, Version
    from tasks.retraining.batch_formats import Target

    try:
        versions = Registry(settings.home).versions(dataset)
    except DigitflowError:  # a registry that does not answer is no fault of the batch
        return []
    champions = [v for v in versions if isinstance(v, Version) and CHAMPION in v.aliases]
    return [
        Target((v.image_shape[0], v.image_shape[1]), v.conventions, v.class_names, classes=v.classes) for v in champions
    ]


def announce_batch(name: str) -> None:
    """Emit the event of a new batch to Prefect's server, so that its automations can start a retraining."""
    from prefect.events import emit_event

    emit_event("digitflow.batch.added", {"prefect.resource.id": "digitflow.inbox"}, payload={"batch": name})
    flush_events()
