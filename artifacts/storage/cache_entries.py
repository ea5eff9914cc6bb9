"""The cache: the result of each call, under the call's key. A damaged entry counts as absent."""

import hashlib
import json
from typing import Any

from artifacts.storage.home import OBJECTS, RECORDS
from artifacts.storage.store import Store, references


def put(store: Store, key: str, record: bytes) -> None:
    """Keep a Prefect result record under `key`, atomically and with its digest."""
    path = store.write(f"{RECORDS}/{key}", _digest(key, record) + b"\n" + record)
    if store.remote:
        store.remote.push(path, f"{RECORDS}/{key}")


def get(store: Store, key: str) -> bytes | None:
    """The record under `key`; None if it is absent or damaged, or an artifact that it names is."""
    for source in (store.read, store.fetch):
        digest, _, record = (source(f"{RECORDS}/{key}") or b"").partition(b"\n")
        if digest == _digest(key, record):
            return record if all(map(store.holds, references(result_of(record)))) else None
    return None


def replicate(store: Store, key: str, record: bytes) -> None:
    """Copy a record and its artifacts to the shared store, if there is one and it lacks them."""
    if store.remote and not store.remote.holds(f"{RECORDS}/{key}"):
        for ref in references(result_of(record)):
            store.remote.push(store.path(ref), f"{OBJECTS}/{ref.name}")
        put(store, key, record)


def result_of(record: bytes) -> Any:
    """The JSON value of the result in a Prefect result record."""
    return json.loads(json.loads(record)["result"])


def _digest(key: str, record: bytes) -> bytes:
    """A digest of the record and its key: it fails for a damaged record and for one under another key."""
    return hashlib.sha256(key.encode() + b"\n" + record).hexdigest().encode()
