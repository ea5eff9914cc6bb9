"""The verb `models`: which versions there are, which one is champion, how that came, and how to change it."""

from datetime import UTC, datetime
from typing import Annotated

from cyclopts import App, Parameter

from artifacts.errors import Rejected, UsageError
from artifacts.storage.settings import Settings
from flows.cli import output as console
from flows.cli.options import Flag
from tasks.registry.registry import Registry
from tasks.registry.versions import Kind, Promotion, Version

models = App(name="models", help="List the registered models, and promote, roll back or look up the champion.")

Dataset = Annotated[str | None, Parameter(show_default=False)]


@models.default
def show_all(*, dataset: Dataset = None, json: Annotated[bool, Flag] = False) -> int:
    """List the registered versions, the latest first.

    Parameters
    ----------
    dataset: str
        Only those of this data set.
    json: bool
        Print one JSON list on stdout.
    """
    versions = _registry().versions(dataset)
    if dataset and not versions:
        raise UsageError(f"there is no version of {dataset}; see: digitflow models")
    if json:
        console.show_json([version.model_dump(mode="json") for version in versions])
        return 0
    rows = [
        (
            *(str(v.version), v.dataset, ", ".join(v.aliases), f"{v.accuracy:.2%}", f"{v.recipe}, seed {v.seed}"),
            *("passed" if v.passed else "rejected", f"{v.created:%Y-%m-%d %H:%M}", v.run),
        )
        for v in versions
    ]
    console.show_table(
        [("VERSION", "DATA SET", "ALIASES", "ACCURACY", "RECIPE", "GATE", "CREATED (UTC)", "RUN"), *rows]
    )
    return 0


@models.command
def show(version: int, *, dataset: Dataset = None, json: Annotated[bool, Flag] = False) -> int:
    """Show all that is known of one version.

    Parameters
    ----------
    version: int
        Its number; see: digitflow models
    dataset: str
        Needed if several data sets have that number.
    json: bool
        Print one JSON object on stdout.
    """
    registry = _registry()
    found = registry.find(version, dataset)
    facts = found.model_dump(mode="json")
    if json:
        console.show_json(facts)
        return 0
    settings = Settings.load()
    console.show_table(
        [
            *((name.replace("_", " "), str(value)) for name, value in facts.items() if not isinstance(value, dict)),
            ("weights", found.weights.sha256),
            ("hyperparameters", ", ".join(f"{k} {v}" for k, v in facts["hyperparameters"].items())),
            ("held against", found.opponent.absence or f"version {found.opponent.version}"),
            ("its test images", f"have judged {registry.decisions(found.test)} models"),
            ("card", str(settings.home / "runs" / found.run / "report.html")),
            ("MLflow", registry.tracking.key),
        ]
    )
    return 0


@models.command
def promote(
    version: int, *, reason: str, force: bool = False, dataset: Dataset = None, json: Annotated[bool, Flag] = False
) -> int:
    """Make a version champion by hand. One that the gate or a person refused needs --force, which the history shows.

    Parameters
    ----------
    version: int
        Its number; see: digitflow models
    reason: str
        Why, for the history.
    force: bool
        Although it was refused.
    dataset: str
        Needed if several data sets have that number.
    json: bool
        Print one JSON object on stdout.
    """
    found = _registry().find(version, dataset)
    if not found.passed and not force:
        raise Rejected(f"version {version} was refused: {found.reason}; to promote it all the same, add --force")
    return _change(found, reason, "promotion" if found.passed else "forced", json)


@models.command
def rollback(*, reason: str = "no reason given", dataset: Dataset = None, json: Annotated[bool, Flag] = False) -> int:
    """Make the champion before the present one champion again.

    Parameters
    ----------
    reason: str
        Why, for the history.
    dataset: str
        Needed if several data sets have a champion.
    json: bool
        Print one JSON object on stdout.
    """
    registry = _registry()
    name = _one(registry, dataset)
    return _change(registry.find(registry.predecessor(name), name), reason, "rollback", json)


@models.command
def history(*, at: str | None = None, dataset: Dataset = None, json: Annotated[bool, Flag] = False) -> int:
    """List every change of the champion, or say which version was champion at some time.

    Example: digitflow models history --at 2026-11-24T12:00

    Parameters
    ----------
    at: str
        A date, or date and time, in ISO 8601; UTC unless it says otherwise.
    dataset: str
        Needed if several data sets have a champion.
    json: bool
        Print one JSON list on stdout.
    """
    registry = _registry()
    changes = registry.history(_one(registry, dataset))
    if at is not None:
        changes = [change for change in changes if change.took_effect and change.at <= _time(at)][-1:]
        if not changes:
            raise UsageError(f"there was no champion at {at}; see: digitflow models history")
    if json:
        console.show_json([change.model_dump(mode="json") for change in changes])
        return 0
    console.show_table([("AT (UTC)", "CHAMPION", "BEFORE", "KIND", "RUN", "WHY"), *map(_row, changes)])
    return 0


def _change(version: Version, reason: str, kind: Kind, json: bool) -> int:
    if not reason.strip():
        raise UsageError("the reason is empty; say why, for the history")
    registry = _registry()
    champion = registry.champion(version.dataset)
    if champion and champion.version == version.version:
        raise UsageError(f"version {version.version} of {version.dataset} is champion already")
    if not registry.restore(version, Settings.load().artifacts):
        raise UsageError(f"the weights of version {version.version} are gone, here and in MLflow; choose another")
    change = registry.promote(version, reason, champion.version if champion else None, kind=kind)
    if json:
        console.show_json(change.model_dump(mode="json"))
    else:
        console.show_table([("champion", f"version {change.version} of {change.dataset}"), ("before", _before(change))])
    return 0


def _row(change: Promotion) -> tuple[str, ...]:
    kind = change.kind if change.took_effect else f"{change.kind}, without effect"
    why = " ".join(change.reason.split())
    return f"{change.at:%Y-%m-%d %H:%M:%S}", str(change.version), _before(change), kind, change.run or "by hand", why


def _before(change: Promotion) -> str:
    return "none" if change.replaced is None else str(change.replaced)


def _one(registry: Registry, dataset: str | None) -> str:
    """The data set meant. Raises UsageError if that is not clear."""
    names = sorted({version.dataset for version in registry.versions(dataset)})
    if len(names) != 1:
        raise UsageError(
            f"several data sets have models: {', '.join(names)}; add --dataset"
            if names
            else f"no model{f' of {dataset}' if dataset else ''} is registered; train one first"
        )
    return names[0]


def _time(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{text!r} is not a time; write one such as 2026-11-24T12:00") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _registry() -> Registry:
    return Registry(Settings.load().home)
