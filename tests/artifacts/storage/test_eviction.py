"""Eviction removes old artifacts that nothing needs, and no others."""

import os
import time
from pathlib import Path

import numpy as np
import pytest

from artifacts.storage.eviction import Needed, prune, survey
from artifacts.storage.home import OBJECTS
from artifacts.storage.store import Ref, Store

NOTHING = Needed()
DAY = 86400.0


def aged(store: Store, value: int, days: float, size: int = 1000) -> Ref:
    """An array of `size` bytes that was last used some days ago."""
    ref = store.put(np.full(size, value, np.uint8))
    path = store.home / OBJECTS / ref.name
    os.utime(path, (time.time() - days * DAY, path.stat().st_mtime))
    return ref


def there(store: Store, *refs: Ref) -> list[bool]:
    return [(store.home / OBJECTS / ref.name).exists() for ref in refs]


def test_least_recently_used_goes_first(store: Store) -> None:
    """With a size limit, the least recently used artifacts are evicted, and no more than needed."""
    old, middle, new = aged(store, 1, 3), aged(store, 2, 2), aged(store, 3, 1)
    pruned = prune(store, NOTHING, max_bytes=2 * 1200)
    assert there(store, old, middle, new) == [False, True, True]
    assert pruned.evicted == 1 and pruned.left == sum(usage.bytes for usage in survey(store))


def test_age(store: Store) -> None:
    """With an age limit, only artifacts that were not used for so long are evicted."""
    old, new = aged(store, 1, 31), aged(store, 2, 29)
    prune(store, NOTHING, older_than=30 * DAY)
    assert there(store, old, new) == [False, True]


def test_reading_is_use(store: Store) -> None:
    """Reading an artifact makes it the most recently used."""
    read, unread = aged(store, 1, 9), aged(store, 2, 1)
    store.get(read)
    prune(store, NOTHING, max_bytes=1200)
    assert there(store, read, unread) == [True, False]


def test_needed(store: Store) -> None:
    """Artifacts that are needed by name, by kind or by their last use stay whatever the limit, and are counted."""
    named, recent, other, page = (
        aged(store, 1, 9),
        aged(store, 2, 1),
        aged(store, 3, 9),
        store.put_bytes(b"<p>", "html"),
    )
    needed = Needed(frozenset({named.name}), frozenset({"html"}), time.time() - 2 * DAY)
    pruned = prune(store, needed, max_bytes=0, older_than=0.0)
    assert there(store, named, recent, other, page) == [True, True, False, True]
    assert pruned.needed == pruned.left


def test_scratch_of_killed_processes(store: Store) -> None:
    """Pruning removes scratch folders that are older than a day, and no others."""
    with store.scratch() as old, store.scratch() as new:
        os.utime(old, (0, 0))
        prune(store, NOTHING)
        assert not old.exists() and new.exists()


def test_survey(store: Store) -> None:
    """The survey counts files and bytes of each kind."""
    store.put_json([1, 2])
    store.put(np.zeros(3))
    store.put(np.ones(3))
    assert {usage.kind: usage.files for usage in survey(store)} == {"json": 1, "npy": 2}
    assert sum(u.bytes for u in survey(store)) == sum(p.stat().st_size for p in (store.home / OBJECTS).glob("*/*"))


@pytest.mark.parametrize("folder", ["gone", "empty"])
def test_nothingthere(tmp_path: Path, folder: str) -> None:
    """An empty store is surveyed and pruned like any other."""
    store = Store(tmp_path / folder)
    assert survey(store) == [] and prune(store, NOTHING, max_bytes=0).evicted == 0
