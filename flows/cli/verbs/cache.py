"""The verb `cache`: how much disk the artifacts take, and eviction."""

from datetime import timedelta
from typing import Annotated

from cyclopts import App
from pydantic import ByteSize, TypeAdapter, ValidationError

from artifacts.errors import UsageError
from artifacts.storage.eviction import prune, survey
from artifacts.storage.settings import Settings
from flows.cli import output as console
from flows.cli.options import Flag

cache = App(name="cache", help="Show how much disk the stored artifacts take, by kind and by last use.")


@cache.default
def show(*, json: Annotated[bool, Flag] = False) -> int:
    """Show how much disk the stored artifacts take, by kind and by last use.

    Parameters
    ----------
    json: bool
        Print one JSON list on stdout.
    """
    usages = survey(Settings.load().artifacts)
    if json:
        console.show_json([usage.model_dump() for usage in usages])
        return 0
    rows = [
        (usage.kind, str(usage.files), _size(usage.bytes), _age(usage.least_recent), _age(usage.most_recent))
        for usage in usages
    ]
    total = ("all", str(sum(u.files for u in usages)), _size(sum(u.bytes for u in usages)), "", "")
    console.show_table([("KIND", "FILES", "SIZE", "LEAST RECENT", "MOST RECENT USE"), *rows, total])
    return 0


@cache.command(name="prune")
def prune_cache(
    *, max_size: str | None = None, older_than: str | None = None, json: Annotated[bool, Flag] = False
) -> int:
    """Evict the least recently used artifacts; never one that a kept run's report or model, or a run under way needs.

    Example: digitflow cache prune --max-size 2GB --older-than 30d

    Parameters
    ----------
    max_size: str
        Evict until the rest fits, such as 500MB or 2GB.
    older_than: str
        Evict what was not used for so long, such as 12h, 30d.
    json: bool
        Print one JSON object on stdout.
    """
    if max_size is None and older_than is None:
        raise UsageError("nothing to do: give --max-size, such as 2GB, or --older-than, such as 30d")
    limit = None if max_size is None else parse_size(max_size)
    age = None if older_than is None else _seconds(older_than)
    pruned = prune(Settings.load().artifacts, limit, age)
    if json:
        console.show_json(pruned.model_dump())
    else:
        over = limit is not None and pruned.left > limit
        console.show_table(
            [
                ("evicted", f"{pruned.evicted} artifacts, {_size(pruned.freed)}"),
                ("left", f"{_size(pruned.left)}, {_size(pruned.needed)} of it needed" + (", so over the limit" * over)),
            ]
        )
    return 0


def parse_size(text: str) -> int:
    """Bytes in a text such as 2GB or 500MiB. Raises UsageError."""
    try:
        return int(TypeAdapter(ByteSize).validate_python(text))
    except ValidationError:
        raise UsageError(f"{text!r} is not a size; write one such as 500MB or 2GB") from None


def _seconds(text: str) -> float:
    units = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
    try:
        seconds = timedelta(**{units[text[-1:]]: float(text[:-1])}).total_seconds()
        if seconds >= 0:
            return seconds
        raise ValueError
    except (KeyError, ValueError, OverflowError):
        raise UsageError(f"{text!r} is not a time; write one such as 12h, 30d or 8w") from None


def _age(seconds: float) -> str:
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit} ago"
    return f"{seconds:.0f} s ago"


def _size(count: int) -> str:
    return ByteSize(count).human_readable(decimal=True, separator=" ")
