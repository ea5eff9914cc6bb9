"""A command without a server tells a webhook what happened."""

from typing import Any

import pytest

from artifacts.lineage.notices import post, posting


def test_notices_are_posted_inside_only(received: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Inside the block a notice is posted once; outside, and without a URL, it is not."""
    post("event", "resource", {"value": 0})
    with posting():
        post("event", "resource", {"value": 1})
        monkeypatch.delenv("DIGITFLOW_WEBHOOK")
        post("event", "resource", {"value": 2})
    assert received == [{"event": "event", "resource": "resource", "payload": {"value": 1}}]


def test_errors_are_posted(received: list[Any]) -> None:
    """An error that ends a command is posted and raised; Ctrl-C is only raised: a person asked for it."""
    with pytest.raises(OSError, match="disk full"), posting():
        raise OSError("disk full")
    with pytest.raises(KeyboardInterrupt), posting():
        raise KeyboardInterrupt
    assert [(notice["event"], notice["payload"]) for notice in received] == [
        ("digitflow.run.failed", {"error": "disk full"})
    ]


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/", "http://[", "ftp://somewhere/"])
def test_no_receiver(url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """A receiver that is not there costs a warning, not the run."""
    monkeypatch.setenv("DIGITFLOW_WEBHOOK", url)
    with posting():
        post("event", "resource", {})
    assert "the webhook was not told of event" in caplog.text
