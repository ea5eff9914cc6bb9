"""What the command line prints is one line for a note, aligned rows for a table, and nothing cut."""

import json
import logging

import pytest

from flows.cli.output import format_age, format_size, log_on_stderr, print_note, show_outcome, show_table
from flows.publication.outcome import Outcome
from tasks.evaluation.gate import Baseline, Verdict


def test_a_note_is_printable(capsys: pytest.CaptureFixture[str]) -> None:
    """A note is one line without control characters; spaces in a quoted path stay."""
    print_note("see 'a  b'\n  and \x1b[31mred", "one\nproblem")
    assert capsys.readouterr().err == "digitflow: see 'a  b' and \\x1b[31mred\n  one problem\n"


def test_log_records_are_notes(capsys: pytest.CaptureFixture[str]) -> None:
    """A record that a step logs while a command runs, such as of an ignored checkpoint, becomes one line on stderr."""
    logger = logging.getLogger("tasks.training.checkpoints")
    with log_on_stderr():
        logger.warning("ignored\n%s", "one")
        logger.info("goes on")
    logger.info("no handler")
    assert capsys.readouterr().err == "digitflow: ignored one\ndigitflow: goes on\n"


def test_rows_take_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """A table has aligned columns and one line for each row, even if a cell has a line break, and cuts no cell."""
    path = "/a" * 200
    show_table([("NAME", "WHERE"), ("x\ny", path)])
    assert capsys.readouterr().out == f"NAME  WHERE\nx\\ny  {path}\n"


@pytest.mark.parametrize(("names", "shown"), [((), "[7, 2]"), (("cat", "dog, or wolf"), "cat, dog, or wolf")])
def test_first_predictions(names: tuple[str, ...], shown: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The first predictions are classes' names where they have names, and else their numbers, which JSON always has.
    The recipe is shown with the hyperparameters that are not its own."""
    verdict = Verdict(passed=True, threshold=0, checks=(), baseline=Baseline(absence="no champion yet"))
    fields = {
        "run": "r",
        "dataset": "d",
        "recipe": "fast",
        "seed": 0,
        "accuracy": 1,
        "interval": (0, 1),
        "gate": verdict,
    }
    fields |= {"version": 1, "promoted": True, "champion": 1, "warnings": [], "weights": "", "report": "", "seconds": 1}
    fields |= {
        "predictions": (7, 2),
        "predicted_names": names,
        "tasks": [],
        "changes": {"filters": [8, 16], "dense": []},
    }
    outcome = Outcome.model_validate(fields)
    show_outcome(outcome, as_json=False)
    printed = capsys.readouterr().out
    assert f"predicted   {shown} for the first five test images\n" in printed
    assert "recipe      fast, filters 8 16, dense none; seed 0\n" in printed
    show_outcome(outcome, as_json=True)
    assert json.loads(capsys.readouterr().out)["predictions"] == [7, 2]


def test_units() -> None:
    """Sizes and ages are given in their largest unit."""
    assert [format_size(count) for count in (999, 1_500_000)] == ["999 B", "1.5 MB"]
    ages = [format_age(seconds) for seconds in (5, 90, 7200, 3 * 86400)]
    assert ages == ["5 s", "2 min", "2 h", "3 d"]
