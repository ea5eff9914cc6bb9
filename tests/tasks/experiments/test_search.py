"""A search proposes the same trials whether its process is killed or not."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from artifacts.errors import UsageError
from tasks.experiments.search import Proposal, Search, Study, study_lock
from tasks.experiments.trial_worker import TrialResult
from tasks.experiments.variants import Between
from tests.command import ROOT

SPACE = {"dropout": Between(low=0, high=0.9), "filters": ([8], [16], [8, 8]), "batch_size": Between(low=16, high=64)}


def result_of(proposal: Proposal, thresholds: tuple[float, ...]) -> TrialResult:
    """The result of a trial: best at a dropout of 0.3; pruned below the threshold."""
    epochs = tuple(1 - abs(proposal.changes["dropout"] - 0.3) - 0.1 / epoch for epoch in (1, 2))
    is_pruned = any(accuracy < threshold for accuracy, threshold in zip(epochs, thresholds, strict=False))
    return TrialResult(epochs=epochs[:1]) if is_pruned else TrialResult(epochs=epochs, accuracy=epochs[-1])


def search(home: Path, trials: int, name: str = "study", die_at: int = -1, die_in_round: bool = True) -> Study:
    """Search. Die by SIGKILL when the round of trial `die_at` is proposed, or when one trial of it is recorded."""
    study = Study(home, name, Search(trials=trials, round=3, space=SPACE), "about")
    while proposals := study.propose():
        if die_in_round and any(proposal.trial.number >= die_at >= 0 for proposal in proposals):
            os.kill(os.getpid(), signal.SIGKILL)
        results = [(proposal, result_of(proposal, study.pruning_thresholds())) for proposal in proposals]
        if any(proposal.trial.number >= die_at >= 0 for proposal in proposals):
            study.record(results[:1])
            os.kill(os.getpid(), signal.SIGKILL)
        study.record(results)
    return study


def proposed(study: Study) -> list[tuple[dict[str, object], TrialResult]]:
    return [(study.changes(number), result) for number, result in study.finished().items()]


@pytest.mark.parametrize("die_in_round", [True, False])
def test_killed_and_resumed(home: Path, die_in_round: bool) -> None:
    """A search that was killed, with a round proposed or partly recorded, ends with the same trials as any other."""
    script = (
        "from pathlib import Path; from tests.tasks.experiments.test_search import search; "
        f"search(Path({str(home)!r}), 12, 'killed', 7, {die_in_round})"
    )
    died = subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False)
    assert died.returncode == -signal.SIGKILL
    resumed, whole = search(home, 12, "killed"), search(home, 12)
    assert len(resumed.finished()) == 12
    assert proposed(resumed) == proposed(whole)
    assert any(result.accuracy is None for result in whole.finished().values())


def test_continues(home: Path) -> None:
    """A search with more trials extends the study; one with the same number proposes nothing."""
    first = proposed(search(home, 6))
    assert search(home, 6).propose() == []
    assert proposed(search(home, 9))[:6] == first


def test_other_rounds(home: Path) -> None:
    """A search continues in rounds of another size, also in rounds of more trials than are finished."""
    search(home, 7)
    study = Study(home, "study", Search(trials=9, round=16, space=SPACE), "about")
    assert study.pruning_thresholds() == () and len(study.propose()) == 2


def test_finds(home: Path) -> None:
    """Later trials come closer to the optimum than the first ones."""
    trials = proposed(search(home, 30))
    gaps = [abs(float(str(changes["dropout"])) - 0.3) for changes, _ in trials]
    assert min(gaps[12:]) < min(gaps[:6])


def test_study_of_something_else_is_refused(home: Path) -> None:
    """A study of other data, another recipe or space is refused, and so is one that another process is searching."""
    search(home, 3)
    with pytest.raises(UsageError, match="about other data"):
        Study(home, "study", Search(trials=3, space=SPACE), "something else")
    with study_lock(home, "study"), pytest.raises(UsageError, match="another process"), study_lock(home, "study"):
        pass
