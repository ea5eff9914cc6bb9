"""The cache returns a record whole, with every artifact that it names, or nothing."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from artifacts.storage import cache_entries
from artifacts.storage.home import RECORDS
from artifacts.storage.store import Ref, Store, references


def record(value: Any) -> bytes:
    """A Prefect result record, as its JSON serializer writes it."""
    return json.dumps({"metadata": {"storage_key": "key"}, "result": json.dumps(value)}).encode()


@pytest.fixture
def refs(store: Store) -> list[Ref]:
    return [store.put(np.arange(n)) for n in (3, 4)]


@pytest.fixture
def kept(store: Store, refs: list[Ref]) -> bytes:
    """A record under "key" that names both artifacts, one of them deep inside."""
    first, second = (ref.model_dump(mode="json") for ref in refs)
    content = record({"train": first, "more": [{"deep": [second, 7, None]}]})
    cache_entries.put(store, "key", content)
    return content


def test_records_come_back(store: Store, kept: bytes, refs: list[Ref]) -> None:
    """The cache returns a record as it was put, and `references` finds every reference in it."""
    assert cache_entries.get(store, "key") == kept
    assert list(references(cache_entries.result_of(kept))) == refs


def test_absent_records_are_none(store: Store, kept: bytes) -> None:
    """An unknown key has no record, even in a home that was never used."""
    assert cache_entries.get(store, "other") is None
    assert cache_entries.get(Store(store.home / "nowhere"), "key") is None


@pytest.mark.parametrize("damage", [lambda data: b"", lambda data: data[:-1], lambda data: data.replace(b"7", b"8")])
def test_damaged_records_are_none(damage: Any, store: Store, kept: bytes) -> None:
    """An empty, truncated or altered record counts as absent, and putting it again repairs it."""
    path = store.home / RECORDS / "key"
    path.write_bytes(damage(path.read_bytes()))
    assert cache_entries.get(store, "key") is None
    cache_entries.put(store, "key", kept)
    assert cache_entries.get(store, "key") == kept


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"else")])
def test_dangling_records_are_none(damage: Any, which: int, store: Store, kept: bytes, refs: list[Ref]) -> None:
    """A record counts as absent if any artifact that it names is missing or damaged."""
    damage(store.path(refs[which]))
    assert cache_entries.get(store, "key") is None


def test_records_without_references_stand_alone(store: Store) -> None:
    """A record that names no artifact comes back without any."""
    cache_entries.put(store, "key", record([1, "two"]))
    assert cache_entries.get(store, "key") == record([1, "two"])
