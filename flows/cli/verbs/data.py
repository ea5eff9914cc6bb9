"""The verb `data`: put labelled batches into the inbox, list what became of each, and take one out or let one in."""

import difflib
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

from cyclopts import App, Parameter

from artifacts.errors import DigitflowError, UsageError
from artifacts.storage.home import absolute
from artifacts.storage.settings import Settings
from artifacts.storage.store import Store
from flows.cli.output import format_age, print_note, show_json, show_table
from flows.cli.servers import await_configured_server, flush_events, is_server_configured
from flows.cli.switch import Switch
from flows.cli.verbs.data_check import check
from tasks.data.datasets import BATCH_FORMATS, NAMES

if TYPE_CHECKING:
    from tasks.registry.registry import Registry
    from tasks.registry.versions import UnreadableVersion, Version
    from tasks.retraining.incoming.batch_formats import Target
    from tasks.retraining.incoming.notes import Decision
    from tasks.retraining.states import BatchState

data = App(name="data", help="Check your own data, add labelled batches for retraining, and list their states.")
data.command(check)

BatchName = Annotated[str, Parameter(help="Name of the batch; see: digitflow data")]
Reason = Annotated[str, Parameter(help="Reason, which the record shows.")]
AsJson = Annotated[Switch, Parameter(help="Print one JSON object on stdout.")]

ROW = ("BATCH", "DATA SET", "IMAGES", "AGE", "STATE")


@data.default
def show(*, json: Switch = False) -> int:
    """List every batch: its data set, when and from whom it came, its images, its drift, and what became of it.

    Parameters
    ----------
    json: bool
        Print one JSON list on stdout.
    """
    batches = _batches(Settings.load())
    if json:
        show_json([batch.model_dump(mode="json") | {"detail": batch.words} for batch in batches])
    else:
        if not batches:
            print_note("no batches yet; digitflow data add FILE adds one")
        show_table([ROW, *map(_row, batches)])
    return 0


@data.command
def add(
    path: Annotated[Path, Parameter(help=f"{BATCH_FORMATS[0].upper()}{BATCH_FORMATS[1:]}.")],
    *,
    dataset: Annotated[str | None, Parameter(show_default=False)] = None,
    json: Switch = False,
) -> int:
    """Check a batch, put a copy of it into the inbox, and tell the Prefect server, if one is configured, so that it can
    retrain. A batch that could not be learned from is refused with exit status 2.

    Example: digitflow data add corrections.npz

    Parameters
    ----------
    dataset: str
        Data set that the batch is for. Default: the one that its file names, or the only one with models.
    json: bool
        Print one JSON object on stdout.
    """
    settings, has_server, path = Settings.load(), is_server_configured(), absolute(path)
    if not path.exists():
        raise UsageError(f"there is no batch {path}; give {BATCH_FORMATS}")
    from tasks.retraining.incoming.batch_formats import check_batch, dataset_named_in
    from tasks.retraining.incoming.inbox import add_batch, same_batch
    from tasks.retraining.incoming.notes import Note, user_name

    aim = _aim(path, dataset, dataset_named_in(path), settings)
    with settings.artifacts.scratch() as folder:
        checked = check_batch(path, Store(folder), settings.max_file_bytes, aim.targets)
    remarks = list(checked.remarks)
    if same := same_batch(path, settings.home):
        remarks.append(f"the same files arrived before, as {same}; see: digitflow data")
    if has_server:
        await_configured_server()
    note = Note(dataset=aim.dataset, origin="added", by=user_name(), images=checked.images)
    batch = add_batch(path, settings.home, note)
    if has_server:
        announce_batch(batch.name)
    if json:
        show_json({"batch": batch.name, "dataset": aim.dataset, "told": has_server, "remarks": remarks})
    else:
        rows = [("added", str(batch)), ("for", aim.reason), *(("note", remark) for remark in remarks)]
        show_table([*rows, ("next", _next(aim.dataset, "judges it", has_server))])
    return 0


@data.command
def withdraw(batch: BatchName, *, reason: Reason, json: AsJson = False) -> int:
    """Take an accepted batch out: the next retraining learns without it. The versions of the model that learned from it
    are named, and marked for `digitflow models`. A batch that is still in the inbox goes into quarantine.

    Example: digitflow data withdraw 20261125-093000-000000-forms.npz --reason "labels off by one"
    """
    settings, decision = Settings.load(), _decision(reason)
    found = _find(batch, settings)
    batch = found.batch  # it may be known by the name of a repetition
    if found.state == "withdrawn":
        raise UsageError(f"{batch} was withdrawn already: {found.reason}")
    if found.state == "waiting":
        return _withdraw_waiting(found, decision, settings, json=json)
    if found.state != "accepted":
        raise UsageError(f"no model learns from {batch}; its state: {found.words}")
    from tasks.registry.registry import Registry
    from tasks.retraining.ledger import withdraw_batch

    registry = Registry(settings.home)
    versions = _versions(registry, found)
    for version in versions:  # first, so that after a failure the same command marks them all
        registry.mark_withdrawn(version, batch, decision.reason)
    withdraw_batch(found.dataset, batch, decision, settings.artifacts)
    champion = registry.champion_number(found.dataset)
    numbers = [version.version for version in versions]
    if json:
        told = {"batch": batch, "dataset": found.dataset, "versions": numbers, "champion": champion}
        show_json(told | decision.model_dump(mode="json"))
        return 0
    rows = [("withdrawn", batch), ("learned by", _listed(numbers, champion) or "no model")]
    show_table([*rows, ("next", _after_withdrawal(found.dataset, champion in numbers))])
    return 0


def _withdraw_waiting(found: "BatchState", decision: "Decision", settings: Settings, *, json: bool) -> int:
    """Take a batch out of the inbox."""
    from tasks.retraining.quarantine import withdraw_waiting

    withdraw_waiting(found.batch, decision, settings.artifacts)
    if json:
        told = {"batch": found.batch, "dataset": found.dataset} | decision.model_dump(mode="json")
        show_json(told | {"versions": [], "champion": None})
    else:
        then = f"it is in quarantine; digitflow data release {found.batch} --reason WHY lets it in again"
        show_table([("withdrawn", found.batch), ("learned by", "no model"), ("next", then)])
    return 0


@data.command
def release(batch: BatchName, *, reason: Reason, json: AsJson = False) -> int:
    """Let a batch in that waits for approval or is in quarantine, after you have looked at it: it goes back to the
    inbox, and neither drift nor the champion's doubts stop it again.

    Example: digitflow data release 20261125-093000-000000-forms.npz --reason "a new pen; the labels are right"
    """
    settings, decision, has_server = Settings.load(), _decision(reason), is_server_configured()
    found = _find(batch, settings)
    from tasks.retraining.quarantine import batches_aside, release_batch

    aside = next((one for one in batches_aside(settings.artifacts) if one.name == batch), None)
    if aside is None:
        raise UsageError(f"{batch} neither waits for approval nor is in quarantine; its state: {found.words}")
    if has_server:
        await_configured_server()
    release_batch(aside, decision, settings.artifacts)
    if has_server:
        announce_batch(batch)
    if json:
        show_json({"batch": batch, "dataset": found.dataset, "told": has_server} | decision.model_dump(mode="json"))
    else:
        show_table([("released", batch), ("next", _next(found.dataset, "learns from it", has_server))])
    return 0


def _next(dataset: str, what: str, has_server: bool) -> str:
    """What retraining does with a batch, and what starts it."""
    then = f"retraining{f' of {dataset}' * bool(dataset)} {what}"
    if dataset and dataset not in NAMES:
        parameters = f"--param dataset=PATH --param dataset_name={dataset}"
        return f"{then}; to start it: prefect deployment run retraining/on-demand {parameters}"
    if has_server:
        return f"{then}; Prefect was notified"
    return f"{then}; nothing starts it, since PREFECT_API_URL names no server: digitflow doctor says more"


def _row(batch: "BatchState") -> tuple[str, ...]:
    age = format_age((datetime.now(UTC) - batch.added).total_seconds()) if batch.added else ""
    images = "" if batch.images is None else f"{batch.images:,}"
    more = f"; drift: {batch.drifted}" * bool(batch.drifted) + f"; from {batch.by}" * bool(batch.by)
    first, _, rest = batch.reason.partition("; ")  # a report has all of it
    words = batch.words.replace(batch.reason, f"{first}; …") if rest and batch.report else batch.words
    return batch.batch, batch.dataset, images, age, words + more


def _batches(settings: Settings) -> "list[BatchState]":
    from tasks.registry.registry import Registry
    from tasks.retraining.states import list_batches

    return list_batches(settings.artifacts, Registry(settings.home))


def _find(batch: str, settings: Settings) -> "BatchState":
    from tasks.retraining.states import find_batch

    return find_batch(batch, _batches(settings))


def _decision(reason: str) -> "Decision":
    from tasks.retraining.incoming.notes import Decision

    if not reason.strip():
        raise UsageError("the reason is empty; say why, for the record")
    return Decision(reason=" ".join(reason.split()))


def _versions(registry: "Registry", batch: "BatchState") -> "list[Version]":
    """The versions that learned from a batch and are still in the registry, with a readable record."""
    from tasks.registry.versions import Version

    versions = registry.versions(batch.dataset) if batch.versions else []
    readable = [version for version in versions if isinstance(version, Version)]
    return sorted((v for v in readable if v.version in batch.versions), key=lambda version: version.version)


def _listed(numbers: list[int], champion: int | None) -> str:
    return ", ".join(f"version {number}" + " (the champion)" * (number == champion) for number in numbers)


def _after_withdrawal(dataset: str, is_champions: bool) -> str:
    if not is_champions:
        return f"the next retraining of {dataset} learns without it"
    rollback = f"digitflow models rollback --dataset {dataset}"
    return f"the champion stays in use; change it by {rollback}, or retrain, which learns without it"


class _Aim(NamedTuple):
    """What a batch is for: a data set, or "" if that is not known, how that is known, and what it must fit."""

    dataset: str
    reason: str
    targets: "list[Target]"


def _aim(path: Path, asked: str | None, named: str | None, settings: Settings) -> _Aim:
    """What a batch is for. Raises UsageError if it is asked to be for two data sets, or could be for several."""
    if asked and named and asked != named:
        raise UsageError(f"{path.name} is for {named}, as its array `dataset` says; leave --dataset {asked} out")
    from tasks.registry.registry import Registry

    try:
        versions = Registry(settings.home).versions()
    except DigitflowError:  # a registry that does not answer is no fault of the batch
        versions = []
    known = sorted({version.dataset for version in versions})
    name = asked or named or (known[0] if len(known) == 1 else "")
    if asked and known and asked not in (*known, *NAMES):
        near = difflib.get_close_matches(asked, [*known, *NAMES])
        hint = f"did you mean {near[0]}? " if near else ""
        raise UsageError(f"no model of a data set {asked!r} is here; {hint}models are of: {', '.join(known)}")
    if not name and known:
        raise UsageError(f"models of several data sets are here: {', '.join(known)}; say which with --dataset")
    return _Aim(name, _reason(name, known, asked=asked, named=named), _targets(versions, name))


def _reason(name: str, known: list[str], *, asked: str | None, named: str | None) -> str:
    if not name:
        return "the data set that is retrained first, because no model is here yet; --dataset names one"
    why = "as asked" if asked else "as its file says" if named else "the only data set with models here"
    return f"{name}, {why}" + ("" if name in known else ", of which no model is here yet")


def _targets(versions: "list[Version | UnreadableVersion]", dataset: str) -> "list[Target]":
    """What the images of a batch must fit: those of the champion of the data set, if it has one."""
    from tasks.registry.versions import CHAMPION, Version
    from tasks.retraining.incoming.batch_formats import Target

    champions = [v for v in versions if isinstance(v, Version) and CHAMPION in v.aliases and v.dataset == dataset]
    return [
        Target((v.image_shape[0], v.image_shape[1]), v.conventions, v.class_names, classes=v.classes) for v in champions
    ]


def announce_batch(name: str) -> None:
    """Emit the event of a new batch to Prefect's server, so that its automations can start a retraining."""
    from prefect.events import emit_event

    from tasks.retraining.incoming.notes import read_note

    dataset = read_note(name, Settings.load().home).dataset
    kind = "named" if dataset in NAMES else "unnamed"  # people's own data are found by a path, not by their name
    emit_event(
        "digitflow.batch.added",
        {"prefect.resource.id": "digitflow.inbox", "digitflow.dataset": kind},
        payload={"batch": name, "dataset": dataset},
    )
    flush_events()
