"""How a run ends."""

from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows import publication
from flows.recorded_run import slug


@given(st.text(max_size=200))
def test_a_slug_is_one_part_of_a_path(name: str) -> None:
    """A slug is never empty, never longer than 64 letters, and names no other folder."""
    part = slug(name)
    assert 0 < len(part) <= 64 and Path(part).name == part and part not in (".", "..")


def test_a_name_is_not_worth_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run whose server does not answer keeps its name, and goes on."""

    class Gone:
        def __enter__(self) -> "Gone":
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def update_flow_run(self, *_: object, **__: object) -> None:
            raise httpx.ConnectError("gone")

    monkeypatch.setattr("prefect.client.orchestration.get_client", lambda **_: Gone())
    monkeypatch.setattr("prefect.runtime.flow_run", SimpleNamespace(id="x", name="olive-fox"))
    publication._rename("mnist fast 99.30 % passed v7")
