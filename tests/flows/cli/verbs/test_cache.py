"""`digitflow cache` shows what the store holds, and evicts by size and by age."""

import json
import os
import time
from collections.abc import Callable

import numpy as np
import pytest

from artifacts.storage.store import Ref, Store
from tests.flows.cli.conftest import Called

HOUR = 3600


@pytest.fixture
def aged(store: Store) -> dict[float, Ref]:
    """Three arrays of 8,000 bytes and a header, by the hours since their last use: 1, 37 and 24 * 60."""
    refs = {hours: store.put(np.full(1000, hours)) for hours in (1.0, 37.0, 24.0 * 60)}
    for hours, ref in refs.items():
        used = time.time() - hours * HOUR
        os.utime(store.home / "objects" / ref.name, (used, used))
    return refs


def left(store: Store, aged: dict[float, Ref]) -> list[float]:
    return [hours for hours, ref in aged.items() if (store.home / "objects" / ref.name).exists()]


def test_survey(call: Callable[..., Called], aged: dict[float, Ref]) -> None:
    """The table has one row for each kind and one for all, with sizes and ages; the JSON has the numbers."""
    head, arrays, total = call("cache").stdout.splitlines()
    assert head.split()[:3] == ["KIND", "FILES", "SIZE"]
    assert arrays.split() == ["npy", "3", "24.4", "KB", "60", "d", "1", "h"]
    assert total.split() == ["all", "3", "24.4", "KB"]
    (usage,) = json.loads(call("cache", "--json").stdout)
    assert (usage["kind"], usage["files"], usage["bytes"]) == ("npy", 3, 3 * 8128)


@pytest.mark.parametrize(
    ("age", "remaining"),
    [("30d", [1, 37]), ("12h", [1]), ("8w", [1, 37]), ("1d12h", [1]), ("1d14h", [1, 37]), ("9w", [1, 37, 1440])],
)
def test_prune_by_age(
    age: str, remaining: list[float], call: Callable[..., Called], store: Store, aged: dict[float, Ref]
) -> None:
    """What has not been used for a time, in weeks, days or hours or a sum of these, is evicted."""
    pruned = json.loads(call("cache", "prune", "--older-than", age, "--json").stdout)
    assert left(store, aged) == remaining
    assert pruned["evicted"] == 3 - len(remaining)


@pytest.mark.parametrize(
    ("size", "remaining"), [("20kB", [1, 37]), ("8KiB", [1]), ("1GB", [1, 37, 1440]), ("8127", []), ("8128", [1])]
)
def test_prune_by_size(
    size: str, remaining: list[float], call: Callable[..., Called], store: Store, aged: dict[float, Ref]
) -> None:
    """The least recently used artifacts are evicted until the rest fits; sizes have decimal or binary units."""
    called = call("cache", "prune", "--max-size", size)
    assert left(store, aged) == remaining
    assert called.stdout.startswith(f"evicted  {3 - len(remaining)} artifacts, ")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--older-than", "soon"), ("--older-than", "soon")),
        (("--older-than", "30"), ("--older-than", "30")),
        (("--older-than=-5d",), ("--older-than: should not be negative", "'-5d'")),
        (("--older-than", "99999999999w"), ("--older-than", "99999999999w")),
        (("--max-size", "large"), ("--max-size", "large")),
        (("--max-size=-5",), ("--max-size", "-5")),
        ((), ("--max-size, such as 2GB", "--older-than, such as 30d")),
    ],
)
def test_unusable_limits(
    arguments: tuple[str, ...],
    words: tuple[str, ...],
    call: Callable[..., Called],
    store: Store,
    aged: dict[float, Ref],
) -> None:
    """A size or an age that is none is refused in one line with its option and value, and nothing is evicted."""
    called = call("cache", "prune", *arguments)
    assert (called.status, called.stdout, called.stderr.count("\n")) == (2, "", 1)
    assert all(word in called.stderr for word in words), called.stderr
    assert len(left(store, aged)) == 3
