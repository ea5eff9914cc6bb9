"""Hold a finished run's manifest against what is on disk, in the code and installed now."""

import hashlib
from typing import Literal

from pydantic import BaseModel

from artifacts.errors import UsageError
from artifacts.fingerprint import fingerprint
from artifacts.records import references
from artifacts.runs import Manifest, StepRecord, earlier_runs
from artifacts.store import Ref, Store

Holds = Literal["holds", "missing", "differs"]


class Claim(BaseModel):
    """One thing that a manifest says, and whether it is so."""

    step: str
    what: str
    state: Holds


def find(store: Store, run: str) -> Manifest:
    """The manifest of a run, by its name or an unambiguous part of it. Raises UsageError."""
    matches = [manifest for manifest in earlier_runs(store) if run in manifest.run]
    exact = [manifest for manifest in matches if manifest.run == run]
    if len(exact or matches) != 1:
        which = ", ".join(manifest.run for manifest in matches[:5]) or "none does"
        raise UsageError(f"{run!r} should name one run, but of the runs there, {which} match; see: digitflow runs")
    return (exact or matches)[0]


def verify(store: Store, manifest: Manifest) -> list[Claim]:
    """Digest each artifact of a run anew, and derive each step's key from its parts anew."""
    claims = []
    for step in manifest.steps:
        claims.append(Claim(step=step.name, what="key", state="holds" if step.call.key == step.key else "differs"))
        claims.append(Claim(step=step.name, what="code", state=_code(step)))
        claims += [
            Claim(step=step.name, what=f"{ref.kind} {ref.sha256[:12]}…", state=_state(store, ref))
            for ref in references(step.result)
        ]
    return claims


def _state(store: Store, ref: Ref) -> Holds:
    try:
        with (store.home / "objects" / ref.name).open("rb") as file:
            return "holds" if hashlib.file_digest(file, "sha256").hexdigest() == ref.sha256 else "differs"
    except OSError:
        return "holds" if store.remote and store.holds(ref) else "missing"


def _code(step: StepRecord) -> Holds:
    root = next(iter(step.call.code), "")
    module, _, function = root.partition(":")
    return "holds" if function and fingerprint(module, function) == step.call.code else "differs"
