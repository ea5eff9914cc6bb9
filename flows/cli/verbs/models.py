"""The verb `models`: list the registered versions, show one, change the champion, and list its changes."""

import contextlib
from datetime import UTC, datetime
from typing import Annotated

from cyclopts import App, Parameter

from artifacts.errors import DigitflowError, Rejected, UsageError, suggest
from artifacts.storage.home import RUNS
from artifacts.storage.settings import Settings
from flows.cli.output import format_age, format_hyperparameter, print_note, show_json, show_table
from flows.cli.switch import Switch
from tasks.model.recipes import changed
from tasks.registry.registry import Registry
from tasks.registry.versions import CHAMPION, Promotion, PromotionKind, UnreadableVersion, Version

models = App(name="models", help="List the registered models, and promote, roll back or look up the champion.")

Dataset = Annotated[str | None, Parameter(show_default=False)]


@models.default
def show_all(*, dataset: Dataset = None, json: Switch = False) -> int:
    """List the registered versions, the latest first.

    Parameters
    ----------
    dataset: str
        List only the versions of this data set.
    json: bool
        Print one JSON list on stdout.
    """
    versions = _registry().versions(dataset)
    if dataset and not versions:
        names = sorted({version.dataset for version in _registry().versions(None)})
        way = suggest(dataset, names) if names else "train one first"
        raise UsageError(f"there is no version of {dataset!r}; {way}")
    if json:
        show_json([version.model_dump(mode="json") for version in versions])
        return 0
    for version in versions:
        if isinstance(version, UnreadableVersion):
            print_note(
                f"the record of version {version.version} of {version.dataset} is unreadable: {version.unreadable}"
            )
    header = ("VERSION", "DATA SET", "STATE", "ACCURACY", "RECIPE", "AGE")
    if not versions:
        print_note("no versions yet; digitflow train registers the first")
    retired = _retired({version.dataset for version in versions})
    show_table([header, *(_listed(version, retired) for version in versions)])
    return 0


def _retired(datasets: set[str]) -> set[tuple[str, int | None]]:
    """The versions that were taken out of use and have no successor, each with its data set."""
    retired = set()
    for dataset in datasets:
        with contextlib.suppress(DigitflowError):  # a damaged history is told by `history`
            for change in _registry().history(dataset)[-1:]:
                if change.version is None:
                    retired.add((dataset, change.replaced))
    return retired


def _listed(version: Version | UnreadableVersion, retired: set[tuple[str, int | None]]) -> tuple[str, ...]:
    states, measured = ["champion"] * (CHAMPION in version.aliases), ("", "")
    states += ["retired"] * ((version.dataset, version.version) in retired)
    if isinstance(version, UnreadableVersion):
        states.append("unreadable")
    else:
        is_changed = " (changed)" * bool(changed(version.recipe, version.dataset, version.hyperparameters))
        measured = f"{version.accuracy:.2%}", f"{version.recipe}{is_changed}, seed {version.seed}"
        states += ["rejected"] * (not version.passed) + ["learned from withdrawn data"] * bool(version.withdrawn)
    age = format_age((datetime.now(UTC) - version.created).total_seconds())
    return str(version.version), version.dataset, ", ".join(states) or "passed", *measured, age


@models.command
def show(version: int, *, dataset: Dataset = None, json: Switch = False) -> int:
    """Show all that is known of one version.

    Parameters
    ----------
    version: int
        Number of the version; see: digitflow models
    dataset: str
        Data set of the version; needed if several data sets have that number.
    json: bool
        Print one JSON object on stdout.
    """
    registry = _registry()
    model = registry.find(version, dataset)
    if json:
        show_json(model.model_dump(mode="json"))
        return 0
    show_table(_described(model, registry))
    return 0


def _described(model: Version, registry: Registry) -> list[tuple[str, str]]:
    """All that is known of a version, in words."""
    own = changed(model.recipe, model.dataset, model.hyperparameters)
    uses = registry.test_set_uses(model.test)
    height, width = model.image_shape
    return [
        ("version", ", ".join((f"{model.version} of {model.dataset}", *model.aliases))),
        ("accuracy", f"{model.accuracy:.2%} of the test images"),
        ("gate", f"{'passed' if model.passed else 'rejected'}: {model.reason}"),
        ("held against", model.baseline.absence or f"version {model.baseline.version}"),
        ("recipe", f"{', '.join((model.recipe, *map(format_hyperparameter, own.items())))}; seed {model.seed}"),
        (
            "hyperparameters",
            ", ".join(map(format_hyperparameter, model.hyperparameters.model_dump(mode="json").items())),
        ),
        ("images", f"{width}×{height} pixels"),
        ("classes", ", ".join(model.class_names) or f"{model.classes}, called by their numbers"),
        ("test images", f"{model.test}; models that they have judged: {uses}"),
        ("weights", model.weights.sha256),
        *(("withdrawn since", f"{batch}: {why}") for batch, why in model.withdrawn.items()),
        ("created", f"{model.created:%Y-%m-%d %H:%M} UTC"),
        ("run", model.run),
        ("card", str(Settings.load().home / RUNS / model.run / "report.html")),
        ("MLflow", f"{registry.tracking.key}, run {model.mlflow_run}"),
    ]


@models.command
def promote(version: int, *, reason: str, force: bool = False, dataset: Dataset = None, json: Switch = False) -> int:
    """Make a version champion by hand. One that was rejected or declined needs --force, which the history shows.

    Parameters
    ----------
    version: int
        Number of the version; see: digitflow models
    reason: str
        Reason, which the history shows.
    force: bool
        Promote it although it was rejected or declined.
    dataset: str
        Data set of the version; needed if several data sets have that number.
    json: bool
        Print one JSON object on stdout.
    """
    model = _registry().find(version, dataset)
    if not model.passed and not force:
        raise Rejected(f"version {version} was rejected: {model.reason}; to promote it all the same, add --force")
    return _change(model, reason, "promotion" if model.passed else "forced", json)


@models.command
def rollback(*, reason: str = "no reason given", dataset: Dataset = None, json: Switch = False) -> int:
    """Return to the champion before the present one.

    Parameters
    ----------
    reason: str
        Reason, which the history shows.
    dataset: str
        Data set of the champion; needed if several data sets have one.
    json: bool
        Print one JSON object on stdout.
    """
    registry = _registry()
    name = _only_dataset(registry, dataset)
    return _change(registry.find(registry.predecessor(name), name), reason, "rollback", json)


@models.command
def retire(*, reason: str, dataset: Dataset = None, json: Switch = False) -> int:
    """Take the champion out of use. There is none until the next model passes the gate, or one is promoted by hand.

    Parameters
    ----------
    reason: str
        Reason, which the history shows.
    dataset: str
        Data set of the champion; needed if several data sets have models.
    json: bool
        Print one JSON object on stdout.
    """
    _require_reason(reason)
    registry = _registry()
    return _show_change(registry.retire(_only_dataset(registry, dataset), reason), json)


@models.command
def history(*, at: datetime | None = None, dataset: Dataset = None, json: Switch = False) -> int:
    """List every change of the champion, or say which version was champion at some time.

    Example: digitflow models history --at 2026-11-24T12:00

    Parameters
    ----------
    at: datetime
        A date, or date and time, in ISO 8601; UTC unless it says otherwise.
    dataset: str
        Data set of the champion; needed if several data sets have one.
    json: bool
        Print one JSON list on stdout.
    """
    registry = _registry()
    changes = registry.history(_only_dataset(registry, dataset))
    if at is not None:
        at = at if at.tzinfo else at.replace(tzinfo=UTC)
        changes = [change for change in changes if change.took_effect and change.at <= at][-1:]
        if not changes or changes[0].version is None:
            raise UsageError(f"there was no champion at {at.isoformat()}; see: digitflow models history")
    if json:
        show_json([change.model_dump(mode="json") for change in changes])
        return 0
    show_table([("AT (UTC)", "CHAMPION", "BEFORE", "KIND", "RUN", "WHY"), *map(_row, changes)])
    return 0


def _change(version: Version, reason: str, kind: PromotionKind, json: bool) -> int:
    _require_reason(reason)
    registry = _registry()
    champion = registry.champion_number(version.dataset)
    if champion == version.version:
        raise UsageError(f"version {version.version} of {version.dataset} is champion already")
    if not registry.restore(version, Settings.load().artifacts):
        raise UsageError(f"the weights of version {version.version} are gone, here and in MLflow; choose another")
    return _show_change(registry.promote(version, reason, champion, kind=kind), json)


def _require_reason(reason: str) -> None:
    if not reason.strip():
        raise UsageError("the reason is empty; say why, for the history")


def _show_change(change: Promotion, json: bool) -> int:
    if json:
        show_json(change.model_dump(mode="json"))
        return 0
    now = "none" if change.version is None else f"version {change.version}"
    show_table([("champion", f"{now} of {change.dataset}"), ("before", _number(change.replaced))])
    return 0


def _row(change: Promotion) -> tuple[str, ...]:
    kind = change.kind if change.took_effect else f"{change.kind}, without effect"
    why = " ".join(change.reason.split())
    numbers = _number(change.version), _number(change.replaced)
    return f"{change.at:%Y-%m-%d %H:%M:%S}", *numbers, kind, change.run or "by hand", why


def _number(version: int | None) -> str:
    return "none" if version is None else str(version)


def _only_dataset(registry: Registry, dataset: str | None) -> str:
    """The data set with models. Raises UsageError if there is none, or if there are several and none is named."""
    names = sorted({version.dataset for version in registry.versions(dataset)})
    if len(names) != 1:
        raise UsageError(
            f"several data sets have models: {', '.join(names)}; add --dataset"
            if names
            else f"no model{f' of {dataset}' if dataset else ''} is registered; train one first"
        )
    return names[0]


def _registry() -> Registry:
    return Registry(Settings.load().home)
