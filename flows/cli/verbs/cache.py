"""The verb `cache`: show how much disk the artifacts take, and evict some of them."""

from datetime import timedelta
from typing import Annotated

from cyclopts import App, Parameter
from pydantic import ByteSize

from artifacts.errors import UsageError
from artifacts.storage.eviction import survey
from artifacts.storage.settings import Settings
from flows.cli.output import format_age, format_size, show_json, show_table
from flows.cli.switch import Switch

cache = App(name="cache", help="Show how much disk the stored artifacts take, and evict some of them.")


@cache.default
def show(*, json: Switch = False) -> int:
    """Show how much disk the stored artifacts take, by kind, and when they were last used.

    Parameters
    ----------
    json: bool
        Print one JSON list on stdout.
    """
    usages = survey(Settings.load().artifacts)
    if json:
        show_json([usage.model_dump() for usage in usages])
        return 0
    rows = [
        (u.kind, str(u.files), format_size(u.bytes), format_age(u.least_recent), format_age(u.most_recent))
        for u in usages
    ]
    total = ("all", str(sum(u.files for u in usages)), format_size(sum(u.bytes for u in usages)), "", "")
    show_table([("KIND", "FILES", "SIZE", "OLDEST USE", "NEWEST USE"), *rows, total])
    return 0


def _refuse_negative(_: type, age: timedelta | None) -> None:
    if age is not None and age < timedelta():
        raise ValueError("should not be negative")


@cache.command(name="prune")
def prune_cache(
    *,
    max_size: ByteSize | None = None,
    older_than: Annotated[timedelta | None, Parameter(validator=_refuse_negative)] = None,
    json: Switch = False,
) -> int:
    """Evict the least recently used artifacts. Reports, models, accepted batches and what a running run needs stay.

    Example: digitflow cache prune --max-size 2GB --older-than 30d

    Parameters
    ----------
    max_size: ByteSize
        Evict until the rest fits into this size, such as 500MB or 2GB.
    older_than: timedelta
        Evict what has not been used for this time, such as 12h, 30d or 1d12h.
    json: bool
        Print one JSON object on stdout.
    """
    if max_size is None and older_than is None:
        raise UsageError("nothing to do: give --max-size, such as 2GB, or --older-than, such as 30d")
    from flows.recorded_run import prune_home

    age = None if older_than is None else older_than.total_seconds()
    pruned = prune_home(Settings.load(), max_size, age)
    if json:
        show_json(pruned.model_dump())
        return 0
    excess = ", so over the limit" if max_size is not None and pruned.left > max_size else ""
    show_table(
        [
            ("evicted", f"{pruned.evicted} artifacts, {format_size(pruned.freed)}"),
            ("left", f"{format_size(pruned.left)}, {format_size(pruned.needed)} of it needed{excess}"),
        ]
    )
    return 0
