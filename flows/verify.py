"""Hold a finished run's manifest against what is on disk, in the code and installed now."""

import hashlib
from pathlib import Path
from typing import Literal

from pydantic import BaseModel

from artifacts.fingerprint import fingerprint
from artifacts.records import references
from artifacts.runs import Manifest, StepRecord
from artifacts.store import Ref, Store

Holds = Literal["holds", "missing", "differs"]


class Claim(BaseModel):
    """One thing that a manifest says, and whether it is so."""

    step: str
    what: str
    state: Holds


def verify(store: Store, manifest: Manifest) -> list[Claim]:
    """Digest each artifact of a run anew, and derive each step's key from its parts anew."""
    claims = []
    for step in manifest.steps:
        is_its_key = step.key in (step.call.key, step.call.key_with_places)
        claims.append(Claim(step=step.name, what="key", state="holds" if is_its_key else "differs"))
        claims.append(Claim(step=step.name, what="code", state=_code(step)))
        claims += [
            Claim(step=step.name, what=f"{ref.kind} {ref.sha256[:12]}…", state=_state(store, ref))
            for ref in references(step.result)
        ]
    claims += [
        Claim(step="files", what=name, state=_state(store, ref, store.home / name))
        for name, ref in manifest.exports.items()
    ]
    return claims


def _state(store: Store, ref: Ref, path: Path | None = None) -> Holds:
    try:
        with (path or store.home / "objects" / ref.name).open("rb") as file:
            return "holds" if hashlib.file_digest(file, "sha256").hexdigest() == ref.sha256 else "differs"
    except OSError:
        return "holds" if not path and store.remote and store.holds(ref) else "missing"


def _code(step: StepRecord) -> Holds:
    root = next(iter(step.call.code), "")
    module, _, function = root.partition(":")
    return "holds" if function and fingerprint(module, function) == step.call.code else "differs"
