"""How a run ends."""

from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifacts.lineage.manifest import Run
from flows.publication import Outcome, slug, until_settled
from tasks.registry.versions import ChampionChanged


class CountingRun:
    """Counts how often the steps start over."""

    restarts = 0

    def start_over(self) -> None:
        self.restarts += 1


def test_steps_repeat_until_the_champion_stays() -> None:
    """The steps of a run repeat as long as another run changes the champion, and start over each time."""
    run, outcome, attempts = CountingRun(), object(), iter([True, True, False])

    def attempt() -> Any:
        if next(attempts):
            raise ChampionChanged("another run was promoted")
        return outcome

    assert cast(Any, until_settled(cast(Run, run), attempt)) is outcome
    assert run.restarts == 2


def test_other_errors_end_the_run() -> None:
    """An error other than a changed champion ends the run."""

    def attempt() -> Outcome:
        raise ValueError

    with pytest.raises(ValueError):
        until_settled(cast(Run, CountingRun()), attempt)


@given(st.text(max_size=200))
def test_a_slug_is_one_part_of_a_path(name: str) -> None:
    """A slug is never empty, never longer than 64 letters, and names no other folder."""
    part = slug(name)
    assert 0 < len(part) <= 64 and Path(part).name == part and part not in (".", "..")
