"""What the cache remembers: a result under the key of the call that made it, or nothing at all."""

import hashlib
import json
from collections.abc import Iterator
from typing import Any

from artifacts.storage.store import Ref, Store


def remember(store: Store, key: str, content: bytes) -> None:
    """Keep `content`, a Prefect result record, under `key`, atomically and with its digest."""
    path = store.write(f"records/{key}", _seal(key, content) + b"\n" + content)
    if store.remote:
        store.remote.push(path, f"records/{key}")


def recall(store: Store, key: str) -> bytes | None:
    """The record under `key`, or None if it is absent or damaged, or names bytes that are not here and intact."""
    for source in (store.read, store.fetch):
        digest, _, content = (source(f"records/{key}") or b"").partition(b"\n")
        if digest == _seal(key, content):
            return content if all(map(store.holds, references(result(content)))) else None
    return None


def share(store: Store, key: str, content: bytes) -> None:
    """Put a record and its bytes, made before there was a shared store, there too."""
    if store.remote and not store.remote.holds(f"records/{key}"):
        for ref in references(result(content)):
            store.remote.push(store.path(ref), f"objects/{ref.name}")
        remember(store, key, content)


def _seal(key: str, content: bytes) -> bytes:
    """A digest that holds the record together, and to its key."""
    return hashlib.sha256(key.encode() + b"\n" + content).hexdigest().encode()


def result(content: bytes) -> Any:
    """The JSON value of the result inside a Prefect result record."""
    return json.loads(json.loads(content)["result"])


def references(value: Any) -> Iterator[Ref]:
    """Every artifact that a JSON value refers to."""
    if isinstance(value, dict):
        if "sha256" in value:
            yield Ref.model_validate(value)
        else:
            value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from references(item)
