"""A search proposes the same whatever happens to its process."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from artifacts.errors import UsageError
from tasks.experiments.search import Proposal, Search, Study, alone
from tasks.experiments.trial_worker import TrialResult
from tasks.experiments.variants import Between
from tests.command import ROOT

SPACE = {"dropout": Between(low=0, high=0.9), "filters": ([8], [16], [8, 8]), "batch_size": Between(low=16, high=64)}


def tried(proposal: Proposal, floors: tuple[float, ...]) -> TrialResult:
    """What a trial came to: best at a dropout of 0.3; given up below the floor."""
    epochs = tuple(1 - abs(proposal.changes["dropout"] - 0.3) - 0.1 / epoch for epoch in (1, 2))
    given_up = any(accuracy < floor for accuracy, floor in zip(epochs, floors, strict=False))
    return TrialResult(epochs=epochs[:1]) if given_up else TrialResult(epochs=epochs, accuracy=epochs[-1])


def search(home: Path, trials: int, name: str = "study", die_at: int = -1, die_in_round: bool = True) -> Study:
    """Search; die by SIGKILL when trial `die_at` was proposed, or told, with the rest of its round."""
    study = Study(home, name, Search(trials=trials, round=3, space=SPACE), "about")
    while proposals := study.propose():
        if die_in_round and any(proposal.ask.number >= die_at >= 0 for proposal in proposals):
            os.kill(os.getpid(), signal.SIGKILL)
        told = [(proposal, tried(proposal, study.floors())) for proposal in proposals]
        if any(proposal.ask.number >= die_at >= 0 for proposal in proposals):
            study.tell(told[:1])
            os.kill(os.getpid(), signal.SIGKILL)
        study.tell(told)
    return study


def proposed(study: Study) -> list[tuple[dict[str, object], TrialResult]]:
    return [(study.changes(number), tried) for number, tried in study.finished().items()]


@pytest.mark.parametrize("die_in_round", [True, False])
def test_killed_and_resumed(home: Path, die_in_round: bool) -> None:
    """A search that was killed, with a round proposed or half told, ends with the same trials as one that was not."""
    script = (
        "from pathlib import Path; from tests.tasks.experiments.test_search import search; "
        f"search(Path({str(home)!r}), 12, 'killed', 7, {die_in_round})"
    )
    died = subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False)
    assert died.returncode == -signal.SIGKILL
    resumed, whole = search(home, 12, "killed"), search(home, 12)
    assert len(resumed.finished()) == 12
    assert proposed(resumed) == proposed(whole)
    assert any(tried.accuracy is None for tried in whole.finished().values())


def test_goes_on(home: Path) -> None:
    """More trials of the same study add to it; as many do nothing."""
    first = proposed(search(home, 6))
    assert search(home, 6).propose() == []
    assert proposed(search(home, 9))[:6] == first


def test_other_rounds(home: Path) -> None:
    """A search goes on in rounds of another size, larger than what is finished too."""
    search(home, 7)
    study = Study(home, "study", Search(trials=9, round=16, space=SPACE), "about")
    assert study.floors() == () and len(study.propose()) == 2


def test_finds(home: Path) -> None:
    """It comes closer to the best than the trials that it began with."""
    found = proposed(search(home, 30))
    gaps = [abs(float(str(changes["dropout"])) - 0.3) for changes, _ in found]
    assert min(gaps[12:]) < min(gaps[:6])


def test_one_study_is_about_one_thing(home: Path) -> None:
    """A study of other data, another recipe or space is refused, and so is one that another process searches."""
    search(home, 3)
    with pytest.raises(UsageError, match="about other data"):
        Study(home, "study", Search(trials=3, space=SPACE), "something else")
    with alone(home, "study"), pytest.raises(UsageError, match="another process"), alone(home, "study"):
        pass
