"""What Prefect's page of a flow run shows."""

from types import SimpleNamespace

import httpx
import pytest

from flows.publication.prefect_page import rename_flow_run


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
    rename_flow_run("mnist fast 99.30% passed v7")
