"""Progress reaches the listener, and nobody else."""

from artifacts.lineage.progress import listening, report_progress


def test_a_listener_hears_what_is_reported_inside() -> None:
    """A listener gets the step and its numbers while it listens; before and after, a report goes nowhere."""
    heard: list[tuple[str, dict[str, int | float]]] = []
    report_progress("before")
    with listening(lambda step, numbers: heard.append((step, numbers))):
        report_progress("train", done=1, total=3)
    report_progress("after")
    assert heard == [("train", {"done": 1, "total": 3})]
