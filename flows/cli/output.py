"""What the command line prints: progress bars on a terminal, a short table at the end, JSON for programs."""

import contextlib
import json
import logging
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from artifacts.lineage.progress import Numbers
    from flows.experiments import Experiment
    from flows.publication.outcome import Outcome, Stopped
    from tasks.evaluation.gate import Check

Row = Sequence[str]


def print_note(message: str, *more: str) -> None:
    """Print one line on stderr, and `more` lines below it, indented."""
    lines = [_escape(" ".join(filter(None, map(str.strip, line.splitlines())))) for line in (message, *more)]
    print("digitflow: " + "\n  ".join(lines), file=sys.stderr)


def show_json(value: Any) -> None:
    """Print one JSON value on stdout."""
    print(json.dumps(value, indent=1))


def show_table(rows: Iterable[Row]) -> None:
    """Print rows on stdout in aligned columns. No cell is cut, so that paths can be copied. A row takes one line."""
    rows = [[_escape(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _escape(text: str) -> str:
    """The text with line breaks and other unprintable characters as escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def format_size(count: int) -> str:
    """A number of bytes in decimal units, such as 1.5 GB."""
    from pydantic import ByteSize

    return ByteSize(count).human_readable(decimal=True, separator=" ")


def format_age(seconds: float) -> str:
    """An age in its largest unit, such as 3 d."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(0, seconds):.0f} s"  # clocks may differ


def show_outcome(outcome: "Outcome", as_json: bool, told: Sequence[str] = ()) -> None:
    """Print the result of a training run on stdout. The table leaves out the warnings that were told before it."""
    if as_json:
        show_json(outcome.model_dump(mode="json"))
        return
    accuracy, *verdict = _verdict(outcome, told)
    show_table(
        (
            *_steps(outcome),
            accuracy,
            ("predicted", f"{_predicted(outcome)} for the first five test images"),
            *verdict,
            ("weights", outcome.weights),
            ("report", outcome.report),
            ("seconds", f"{outcome.seconds:.1f}"),
        )
    )


def show_stopped(stopped: "Stopped", as_json: bool) -> None:
    """Print on stdout what a training run left that ended early, as it was asked to."""
    if as_json:
        show_json(stopped.model_dump(mode="json"))
        return
    show_table(
        (
            *_steps(stopped),
            ("ended", f"after {stopped.until}, as asked; nothing was judged or registered"),
            *((place, path) for place, path in stopped.results.items()),
            ("seconds", f"{stopped.seconds:.1f}"),
        )
    )


def _steps(run: "Outcome | Stopped") -> list[Row]:
    """What a run was, which steps it computed, and whether those that it computed again gave the same."""
    cached = [task["name"] for task in run.tasks if task["cached"]]
    computed = [task["name"] for task in run.tasks if not task["cached"]]
    every = f"all {len(run.tasks)} steps"
    return [
        ("data set", run.dataset),
        ("recipe", f"{', '.join((run.recipe, *map(format_hyperparameter, run.changes.items())))}; seed {run.seed}"),
        ("computed", (", ".join(computed) if cached else every) if computed else "nothing"),
        ("from cache", (", ".join(cached) if computed else every) if cached else "nothing"),
        *_again(run),
    ]


def format_hyperparameter(hyperparameter: tuple[str, Any]) -> str:
    """A hyperparameter and its JSON value, such as "filters 8 16", or "dense none"."""
    name, value = hyperparameter
    return f"{name} {' '.join(map(str, value)) or 'none' if isinstance(value, list) else value}"


def _again(run: "Outcome | Stopped") -> list[Row]:
    """The steps that a run computed again, and whether they gave the same."""
    return [("again", f"{task['name']}: {_compare(task['equal'])}") for task in run.tasks if "equal" in task]


def _compare(equal: dict[str, bool]) -> str:
    """Which parts of a result are as before."""
    same, changed = ([part for part, is_equal in equal.items() if is_equal is wanted] for wanted in (True, False))
    if not changed:
        return "the same result as before"
    return f"as before: {', '.join(same) or 'nothing'}; not as before: {', '.join(changed)}"


def show_experiment(experiment: "Experiment", as_json: bool) -> None:
    """Print on stdout how the variants of an experiment compare, and the verdict on the winner."""
    if as_json:
        show_json(experiment.model_dump(mode="json"))
        return
    columns = ("VARIANT", "ACCURACY", "95% INTERVAL", "SEEDS", "PARAMETERS", "SECONDS")
    show_table([columns, *map(_compared, experiment.variants), ("",) * len(columns)])
    outcome = experiment.outcome
    show_table(
        (
            ("winner", f"{experiment.winner}, on held-out training images"),
            *([("its lead", experiment.lead)] if experiment.lead else []),
            ("trials", f"{experiment.computed} computed, {experiment.cached} from cache"),
            ("report", experiment.report),
            *((*_again(outcome), *_verdict(outcome), ("its report", outcome.report)) if outcome else ()),
            ("seconds", f"{experiment.seconds:.1f}"),
        )
    )


def _compared(row: dict[str, Any]) -> Row:
    """A line of the comparison. A variant that failed shows why."""
    interval = "" if row["interval"] is None else "{:.2%} to {:.2%}".format(*row["interval"])
    score = row["failure"] if row["accuracy"] is None else f"{row['accuracy']:.2%}"
    return row["name"], score, interval, str(row["seeds"]), f"{row['parameters']:,}", f"{row['seconds']:.1f}"


def _predicted(outcome: "Outcome") -> str:
    return ", ".join(outcome.predicted_names) or str(list(outcome.predictions))


def _verdict(outcome: "Outcome", told: Sequence[str] = ()) -> list[Row]:
    low, high = outcome.interval
    return [
        ("accuracy", f"{outcome.accuracy:.2%} of the test images (95% interval {low:.2%} to {high:.2%})"),
        *(("to champion", _difference(check, outcome)) for check in outcome.gate.checks if _is_difference(check)),
        ("gate", f"{'passed' if outcome.gate.passed else 'REJECTED'}{_when_judged(outcome)}: {outcome.gate.reason}"),
        ("registered", _rank(outcome)),
        *(("warning", warning) for warning in outcome.warnings if warning not in told),
    ]


def _is_difference(check: "Check") -> bool:
    return check.estimate is not None and check.quantity == "difference to the champion"


def _difference(check: "Check", outcome: "Outcome") -> str:
    """The difference of accuracy to the champion that the model was held against, in points."""
    points = [100 * value for value in (check.estimate or 0, *(check.interval or ()))]
    interval = " (95% interval {:+.2f} to {:+.2f})".format(*points[1:]) if check.interval else ""
    where = " on new images" if check.name.partition("(")[0].endswith("on new images ") else ""
    return f"{points[0]:+.2f} points{interval} against version {outcome.gate.baseline.version}{where}"


def _when_judged(outcome: "Outcome") -> str:
    """That the verdict is an earlier one, about the champion of then."""
    is_cached = any(task["name"] == "check-gate" and task["cached"] for task in outcome.tasks)
    return " in an earlier run" if is_cached else ""


def _rank(outcome: "Outcome") -> str:
    """The version of a run's model, and whether it is in use."""
    if outcome.champion == outcome.version:
        stays = "which is champion" if outcome.gate.passed else "which stays champion: an earlier gate passed it"
        return f"version {outcome.version}, {'now champion' if outcome.promoted else stays}"
    champion = "there is none" if outcome.champion is None else f"that is version {outcome.champion}"
    return f"version {outcome.version}, not champion: {champion}"


@contextlib.contextmanager
def progress_bars() -> Iterator[None]:
    """Draw one bar for each step that reports progress, if stderr is a terminal."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from artifacts.lineage.progress import listening

    columns = (
        TextColumn("{task.description:21}"),  # a line with loss and accuracy fits into 80 columns
        BarColumn(16),
        TextColumn("{task.fields[numbers]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress, listening(_StepBars(progress)):
        yield


class _StepBars:
    """A progress listener with one bar for each step."""

    def __init__(self, progress: "Progress"):
        self._progress = progress
        self._bars: dict[str, TaskID] = {}

    def __call__(self, step: str, numbers: "Numbers") -> None:
        if step not in self._bars:
            self._bars[step] = self._progress.add_task(step, total=None, numbers="")
        done, total = numbers.pop("done", None), numbers.pop("total", None)
        if numbers:
            text = "  ".join(f"{name} {value:.4g}" for name, value in numbers.items())
            self._progress.update(self._bars[step], numbers=text)
        if total:
            self._progress.update(self._bars[step], completed=done, total=total)


class _NoteHandler(logging.Handler):
    """A logging handler that prints each record as one line on stderr."""

    def emit(self, record: logging.LogRecord) -> None:
        print_note(record.getMessage())


@contextlib.contextmanager
def log_on_stderr() -> Iterator[None]:
    """Print what the steps log, such as that a training resumes or that its checkpoint is ignored, on stderr."""
    handler, loggers = _NoteHandler(), [logging.getLogger(room) for room in ("tasks", "artifacts")]
    before = [(logger.level, logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False  # otherwise Prefect's handler would print the record again
    try:
        yield
    finally:
        for logger, (level, propagate) in zip(loggers, before, strict=True):
            logger.level, logger.propagate = level, propagate
            logger.removeHandler(handler)


@contextlib.contextmanager
def redirect_native_stderr(path: Path) -> Iterator[None]:
    """Append to a file what native libraries write to descriptor 2: no setting of TensorFlow silences all of it.

    Python's own stderr stays where it was.
    """
    from artifacts.storage.home import disk_errors

    with disk_errors(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        log = path.open("ab")
    python_stderr = sys.stderr
    python_stderr.flush()
    terminal = os.dup(2)
    os.dup2(log.fileno(), 2)
    sys.stderr = ours = os.fdopen(os.dup(terminal), "w", buffering=1)
    try:
        yield
    finally:
        sys.stderr = python_stderr
        ours.close()  # by its own name: a library may have put another stream in its place
        os.dup2(terminal, 2)
        os.close(terminal)
        log.close()
