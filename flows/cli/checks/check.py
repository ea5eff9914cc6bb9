"""What is a check, and how are all of them made at once?"""

import threading
from collections.abc import Callable, Mapping
from time import monotonic
from typing import Literal, NamedTuple

from artifacts.errors import DigitflowError, hide_passwords
from artifacts.storage.settings import Settings

PATIENCE = 5.0
"""Seconds that a check waits for an answer."""
LONGEST = 15.0
"""Seconds after which a check that has not ended is given up."""

State = Literal["ok", "note", "problem"]
"""note: a run works all the same."""
Result = tuple[State, str, str]
"""The state, what was found in words and, if that is not as it should be, what to do."""


class Check(NamedTuple):
    """What one check found."""

    what: str
    state: State
    found: str
    remedy: str = ""


def run_checks(checks: Mapping[str, Callable[[Settings], Result]], settings: Settings) -> list[Check]:
    """Run all checks at the same time; returns them in their order. One that takes too long is a problem."""
    results: dict[str, Check] = {}
    threads = []
    for what, check in checks.items():
        # daemon threads: one that hangs must not delay the end of the process
        thread = threading.Thread(target=_run, args=(what, check, settings, results), daemon=True)
        thread.start()
        threads.append(thread)
    deadline = monotonic() + LONGEST
    for thread in threads:
        thread.join(max(0.0, deadline - monotonic()))
    late: Result = ("problem", f"no answer in {LONGEST:.0f} s", "see whether what it asks hangs: an address, a disk")
    return [results.get(what, Check(what, *late)) for what in checks]


def _run(what: str, check: "Callable[[Settings], Result]", settings: Settings, results: dict[str, Check]) -> None:
    try:
        state, *words = check(settings)
        results[what] = Check(what, state, *map(hide_passwords, words))
    except DigitflowError as error:
        results[what] = Check(what, "problem", str(error))
    except Exception as error:  # what a check cannot cope with is no sound surrounding
        results[what] = Check(what, "problem", hide_passwords(f"the check ended with {type(error).__name__}: {error}"))
