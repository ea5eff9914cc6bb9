"""A record is recalled whole, with everything it names, or not at all."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from artifacts.storage.cache_entries import recall, references, remember, result
from artifacts.storage.store import Ref, Store


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
    remember(store, "key", content)
    return content


def test_records_come_back(store: Store, kept: bytes, refs: list[Ref]) -> None:
    """A record comes back as it was, and all references in it are found."""
    assert recall(store, "key") == kept
    assert list(references(result(kept))) == refs


def test_absent_records_are_none(store: Store, kept: bytes) -> None:
    """An unknown key recalls nothing, even in a store that was never used."""
    assert recall(store, "other") is None
    assert recall(Store(store.home / "nowhere"), "key") is None


@pytest.mark.parametrize("damage", [lambda data: b"", lambda data: data[:-1], lambda data: data.replace(b"7", b"8")])
def test_damaged_records_are_none(damage: Any, store: Store, kept: bytes) -> None:
    """An empty, truncated or altered record recalls nothing, and remembering it again repairs it."""
    path = store.home / "records" / "key"
    path.write_bytes(damage(path.read_bytes()))
    assert recall(store, "key") is None
    remember(store, "key", kept)
    assert recall(store, "key") == kept


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"else")])
def test_dangling_records_are_none(damage: Any, which: int, store: Store, kept: bytes, refs: list[Ref]) -> None:
    """A record recalls nothing if any artifact that it names is gone or damaged."""
    damage(store.path(refs[which]))
    assert recall(store, "key") is None


def test_records_without_references_stand_alone(store: Store) -> None:
    """A record that names no artifact needs none."""
    remember(store, "key", record([1, "two"]))
    assert recall(store, "key") == record([1, "two"])
