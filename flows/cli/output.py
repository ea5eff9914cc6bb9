"""What the command line shows: live progress on a terminal, a short table at the end, JSON for programs."""

import contextlib
import json
import logging
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from artifacts.lineage.progress import Numbers, listening
from artifacts.storage.store import disk_errors

if TYPE_CHECKING:
    from flows.experiments import Experiment
    from flows.publication import Outcome

REJECTED = 3

PERCENT = 100


@contextlib.contextmanager
def native_output_in(path: Path) -> Iterator[None]:
    """Send what native libraries write to descriptor 2, which no setting of TensorFlow's silences, to a file.

    Python's own stderr stays where it was.
    """
    with disk_errors(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        log = path.open("ab")
    python = sys.stderr
    python.flush()
    kept = os.dup(2)
    os.dup2(log.fileno(), 2)
    sys.stderr = os.fdopen(os.dup(kept), "w", buffering=1)
    try:
        yield
    finally:
        sys.stderr.close()
        sys.stderr = python
        os.dup2(kept, 2)
        os.close(kept)
        log.close()


class _Lines(logging.Handler):
    """A line on stderr for each record."""

    def emit(self, record: logging.LogRecord) -> None:
        say(record.getMessage())


@contextlib.contextmanager
def log_on_stderr() -> Iterator[None]:
    """Inside, what artifacts log, such as that a training goes on or that its checkpoint is ignored, is told."""
    logger, handler = logging.getLogger("tasks"), _Lines()
    before = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False  # else Prefect's log would tell it too
    try:
        yield
    finally:
        logger.level, logger.propagate = before
        logger.removeHandler(handler)


@contextlib.contextmanager
def live() -> Iterator[None]:
    """Draw what the steps tell, if stderr is a terminal."""
    if not sys.stderr.isatty():
        yield
        return
    columns = (
        TextColumn("{task.description:24}"),
        BarColumn(24),
        TextColumn("{task.fields[facts]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress, listening(_Bars(progress)):
        yield


class _Bars:
    def __init__(self, progress: Progress):
        self._progress = progress
        self._bars: dict[str, TaskID] = {}

    def __call__(self, step: str, facts: Numbers) -> None:
        if step not in self._bars:
            self._bars[step] = self._progress.add_task(step, total=None, facts="")
        done, total = facts.pop("done", None), facts.pop("total", None)
        shown = "  ".join(f"{name} {value:.4g}" for name, value in facts.items())
        if shown:
            self._progress.update(self._bars[step], facts=shown)
        if total:
            self._progress.update(self._bars[step], completed=done, total=total)


def show_outcome(outcome: "Outcome", as_json: bool) -> None:
    """Print the end of a training run on stdout."""
    if as_json:
        show_json(outcome.model_dump(mode="json"))
        return
    low, high = outcome.interval
    cached = [task["name"] for task in outcome.tasks if task["cached"]]
    computed = [task["name"] for task in outcome.tasks if not task["cached"]]
    show_table(
        (
            ("data set", outcome.dataset),
            ("recipe", f"{outcome.recipe}, seed {outcome.seed}"),
            ("computed", ", ".join(computed) or "nothing"),
            ("from cache", ", ".join(cached) or "nothing"),
            ("accuracy", f"{outcome.accuracy:.2%} of the test images (95 % interval {low:.2%} to {high:.2%})"),
            ("predicted", f"{list(outcome.predictions)} for the first five test images"),
            ("gate", f"{'passed' if outcome.gate.passed else 'REJECTED'}: {outcome.gate.reason}"),
            ("registered", f"version {outcome.version}" + (", now champion" if outcome.promoted else "")),
            *(("warning", warning) for warning in outcome.warnings),
            ("weights", outcome.weights),
            ("report", outcome.report),
            ("seconds", f"{outcome.seconds:.1f}"),
        )
    )


def show_experiment(experiment: "Experiment", as_json: bool) -> None:
    """Print a comparison on stdout, as Markdown, and what became of the winner."""
    if as_json:
        show_json(experiment.model_dump(mode="json"))
        return
    print(experiment.markdown)
    outcome = experiment.outcome
    lines = [
        ("winner", experiment.winner),
        ("trials", f"{experiment.computed} computed, {experiment.cached} from cache"),
        ("report", experiment.report),
    ]
    if outcome:
        low, high = outcome.interval
        lines += [
            ("accuracy", f"{outcome.accuracy:.2%} of the test images (95 % interval {low:.2%} to {high:.2%})"),
            ("gate", f"{'passed' if outcome.gate.passed else 'REJECTED'}: {outcome.gate.reason}"),
            ("registered", f"version {outcome.version}" + (", now champion" if outcome.promoted else "")),
            *(("warning", warning) for warning in outcome.warnings),
            ("its report", outcome.report),
        ]
    show_table([*lines, ("seconds", f"{experiment.seconds:.1f}")])


def show_table(rows: Iterable[Sequence[str]]) -> None:
    """Print rows on stdout, their columns aligned and none cut: paths are there to be copied. A row stays a line."""
    rows = [[_visible(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _visible(text: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def show_json(value: Any) -> None:
    """Print one JSON value on stdout."""
    print(json.dumps(value, indent=1))


def say(message: str) -> None:
    """Tell the user something in one line on stderr."""
    print(f"digitflow: {' '.join(message.split())}", file=sys.stderr)
