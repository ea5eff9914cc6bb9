"""Which batches were refused, and why?"""

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from artifacts.storage.home import QUARANTINE
from artifacts.storage.store import Store
from tasks.retraining.inbox import move_batch


def quarantine_batch(path: Path, reason: str, details: Mapping[str, Any], store: Store) -> None:
    """Move a batch from the inbox to a folder of its own, from which nothing is learned, with a report beside it."""
    report = {"reason": reason, **details}
    store.write(f"{QUARANTINE}/{path.name}/report.json", json.dumps(report, indent=1).encode())
    move_batch(path, store.home / QUARANTINE / path.name)


def quarantined_batches(store: Store) -> Iterator[tuple[Path, str]]:
    """The path of each report in quarantine, and its reason in a few words."""
    for path in sorted((store.home / QUARANTINE).glob("*/report.json")):
        reason = "no reason kept"
        with contextlib.suppress(ValueError, OSError):
            reason = json.loads(path.read_bytes()).get("reason", reason)
        yield path, reason
