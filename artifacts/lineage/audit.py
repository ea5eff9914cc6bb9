"""Check a run's manifest against the store and the code, and name the differences between two calls of a step."""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel

from artifacts.lineage.cache_key import StepCall
from artifacts.lineage.known_code import code_of
from artifacts.lineage.manifest import Manifest, StepRecord
from artifacts.storage.home import OBJECTS
from artifacts.storage.store import Ref, Store, references

State = Literal["holds", "missing", "differs"]


class Claim(BaseModel):
    """One statement of a manifest, and whether it is still true."""

    step: str
    what: str
    state: State


def verify(store: Store, manifest: Manifest) -> list[Claim]:
    """Check each step's key, code and artifacts, and the files of a run. Every byte is digested again."""
    claims = []
    for step in manifest.steps:
        claims.append(Claim(step=step.name, what="key", state=_key_state(step)))
        claims.append(Claim(step=step.name, what="code", state=_code_state(step)))
        claims += [
            Claim(step=step.name, what=f"{ref.kind} {ref.sha256[:12]}…", state=_file_state(store, ref))
            for ref in references(step.result)
        ]
    claims += [
        Claim(step="files", what=name, state=_file_state(store, ref, store.home / name))
        for name, ref in manifest.exports.items()
    ]
    return claims


def _file_state(store: Store, ref: Ref, path: Path | None = None) -> State:
    try:
        with (path or store.home / OBJECTS / ref.name).open("rb") as file:
            return "holds" if hashlib.file_digest(file, "sha256").hexdigest() == ref.sha256 else "differs"
    except OSError:
        return "holds" if not path and store.remote and store.holds(ref) else "missing"


def _key_state(step: StepRecord) -> State:
    return "holds" if step.key in (step.call.key, step.call.key_with_modules) else "differs"


def _code_state(step: StepRecord) -> State:
    """The place of helpers does not count, as for keys. A step that moved differs: its manifest names its old place."""
    root = next(iter(step.call.code), "")
    module, _, function = root.partition(":")
    if not function:
        return "differs"
    code, bindings = code_of(module, function)
    is_same = _by_name(code) == _by_name(step.call.code) and step.call.bindings in ("", bindings)
    return "holds" if is_same else "differs"


def _by_name(code: dict[str, str]) -> list[tuple[str, str]]:
    return sorted((_name(place), digest) for place, digest in code.items())


def differences(before: list[StepCall], call: StepCall) -> list[str]:
    """The differences between `call` and the most similar earlier call of its step, the first of several."""
    candidates = [list(_changes(earlier, call)) for earlier in before]
    return min(candidates, key=len) if candidates else ["it has not run before"]


def _changes(old: StepCall, new: StepCall) -> Iterator[str]:
    for name, (was, now) in _unequal(_flat(old.inputs), _flat(new.inputs)):
        yield f"input {name}: {_short(was)} → {_short(now)}"
    changes = list(_code_changes(old.code, new.code))
    if not changes and old.bindings != new.bindings:
        changes = ["code: a name stands for another definition"]
    yield from changes
    for name, (was, now) in _unequal(old.libraries, new.libraries):
        yield f"library {name}: {was} → {now}"


def _code_changes(old: dict[str, str], new: dict[str, str]) -> Iterator[str]:
    """What changed in code. A definition that moved is no change, and one that moved and changed is one."""
    common = {(_name(place), digest) for place, digest in old.items()} & {(_name(p), d) for p, d in new.items()}
    was = {place for place, digest in old.items() if (_name(place), digest) not in common}
    now = {place for place, digest in new.items() if (_name(place), digest) not in common}
    moved = {_name(place) for place in was - now} & {_name(place) for place in now - was}
    for place in sorted(was | now):
        module, _, name = place.partition(":")
        is_changed = place in was & now or name in moved
        if place in now or name not in moved:
            what = "changed" if is_changed else "is new" if place in now else "is gone"
            yield f"code: {name or 'the top level'} in {module.replace('.', '/')}.py {what}"


def _name(place: str) -> str:
    return place.partition(":")[2]


def _unequal(old: dict[str, Any], new: dict[str, Any]) -> Iterator[tuple[str, tuple[Any, Any]]]:
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) != new.get(name):
            yield name, (old.get(name), new.get(name))


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """Nested JSON by dotted names. A reference counts as one value, its digest."""
    if isinstance(value, dict) and "sha256" in value:
        return {prefix: value["sha256"]}
    if not isinstance(value, dict):
        return {prefix: value}
    return {
        k: v for name, item in value.items() for k, v in _flat(item, f"{prefix}.{name}" if prefix else name).items()
    }


def _short(value: Any) -> str:
    text = re.sub(r"([0-9a-f]{12})[0-9a-f]{52}", r"\1…", str(value))
    return text if len(text) <= 60 else f"{text[:60]}…"
