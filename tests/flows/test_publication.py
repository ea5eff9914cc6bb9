"""How a run ends."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from flows.recorded_run import slug


@given(st.text(max_size=200))
def test_a_slug_is_one_part_of_a_path(name: str) -> None:
    """A slug is never empty, never longer than 64 letters, and names no other folder."""
    part = slug(name)
    assert 0 < len(part) <= 64 and Path(part).name == part and part not in (".", "..")
