"""Each smoke test runs in a new process, which may be started ahead."""

import pytest

from artifacts.storage.store import Store
from tasks.evaluation import smoke_test
from tasks.training.workers import Reply, Request, Worker


class Recorded(Worker):
    """A worker that answers without a process and notes what happens to it."""

    started: list["Recorded"]

    def __init__(self, module: str):
        self.module, self.asked, self.stopped = module, 0, False
        self.started.append(self)

    def ask(self, request: Request) -> Reply:
        self.asked += 1
        return request

    def stop(self) -> None:
        self.stopped = True


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Recorded]:
    Recorded.started = []
    monkeypatch.setattr(smoke_test, "Worker", Recorded)
    monkeypatch.setattr(smoke_test, "_waiting", [])
    return Recorded.started


def test_new_process_for_each(store: Store, started: list[Recorded]) -> None:
    """No process serves two smoke tests, and each is stopped after its own; one that waits is used first."""
    smoke_test.start_ahead()
    smoke_test.start_ahead()
    assert len(started) == 1
    for _ in range(3):
        reply = smoke_test.run_smoke_test({"golden": 1}, store)
        assert reply == {"golden": 1, "home": str(store.home), "remote": None}
    assert [(process.asked, process.stopped) for process in started] == [(1, True)] * 3
