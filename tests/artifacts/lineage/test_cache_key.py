"""A call is described by all that decides its result, and by nothing else."""

from pathlib import Path

import pytest

from artifacts.lineage.cache_key import StepCall
from artifacts.storage.arrays import at_once
from artifacts.storage.settings import Settings
from artifacts.storage.store import Location, Store
from tasks.data.datasets import Mirrors


@pytest.mark.parametrize("where", [Store(Path("a")), Mirrors(urls=("http://a/",)), Settings(home=Path("a"))])
def test_locations_are_left_out(where: Location) -> None:
    """An argument that says where something is does not change the key."""
    call = StepCall.of("t", at_once, {"n": 1, "where": where}, ())
    assert call.inputs == {"n": 1}
    assert call.key == StepCall.of("t", at_once, {"n": 1}, ()).key


def test_parts_change_the_key() -> None:
    """Another name, input, code or library version gives another key; another module of the same code does not."""
    parts = {"task": "t", "inputs": {"n": 1}, "code": {"tasks.a:f": "0"}, "libraries": {"numpy": "1"}}
    changes = ({"task": "u"}, {"inputs": {"n": 2}}, {"code": {"tasks.a:f": "1"}}, {"libraries": {"numpy": "2"}})
    calls = [StepCall.model_validate(parts | change) for change in ({}, *changes)]
    assert len({call.key for call in calls}) == 5
    call, moved = calls[0], StepCall.model_validate(parts | {"code": {"tasks.b:f": "0"}})
    assert moved.key == call.key and moved.key_with_modules != call.key_with_modules


def test_hidden_code_is_refused() -> None:
    """A step whose code a decorator hides would never be invalidated, so it has no key."""
    with pytest.raises(TypeError, match="'masked' is hidden by a decorator"):
        StepCall.of("masked", lambda: None, {}, ())
