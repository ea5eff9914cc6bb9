"""A search for better hyperparameters: Optuna proposes, from what its trials came to, which are kept in SQLite.

Trials are proposed in rounds, and a round is told as a whole. So what is proposed, and which trials are given up,
depends on neither the number of processes nor their speed, and a search that was killed goes on as if it had not been.
"""

import contextlib
import json
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

from filelock import FileLock, Timeout
from pydantic import BaseModel, Field

from artifacts.errors import UsageError
from artifacts.storage.store import canonical_json, disk_errors
from tasks.experiments.trial_worker import TrialResult
from tasks.experiments.variants import SPACE, Between, Space
from tasks.model.hyperparameters import Hyperparameters

if TYPE_CHECKING:
    import optuna

WARM_UP = 5
"""Finished trials before any is given up."""

_TRIED, _ABOUT = "tried", "about"


class Search(BaseModel, frozen=True, extra="forbid"):
    """How many trials, in rounds of how many, through which space; `study` is the name under which they are kept."""

    trials: int = Field(ge=1, le=100_000)
    study: str = Field("", max_length=100, pattern=r"^[\w. -]*$")
    round: int = Field(4, ge=1, le=1000)
    space: Space = SPACE


class Proposal(NamedTuple):
    """Hyperparameters to try next, as changes; `ask` is Optuna's handle."""

    changes: dict[str, Any]
    ask: "optuna.Trial"


class Study:
    """The trials of one search, so far."""

    def __init__(self, home: Path, name: str, search: Search, about: object):
        """Open a study, or begin it. Raises UsageError if it is about something else."""
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        if "?" in str(home):
            raise UsageError(
                f"Optuna cannot keep a database in {home}, because of the ?; choose another DIGITFLOW_HOME"
            )
        self._search = search
        with disk_errors(home):
            home.mkdir(parents=True, exist_ok=True)
            with FileLock(home / "optuna.lock"):  # two that create one database would collide
                self._study = optuna.create_study(
                    storage=f"sqlite:///{home / 'optuna.db'}",
                    study_name=name,
                    direction="maximize",
                    load_if_exists=True,
                )
        told = canonical_json(about).decode()
        if self._study.user_attrs.setdefault(_ABOUT, told) != told:
            raise UsageError(
                f"the study {name!r} is about other data, another recipe, seed or space; name a new one with --study"
            )
        self._study.set_user_attr(_ABOUT, told)
        for left in self._study.get_trials(states=(optuna.trial.TrialState.RUNNING,)):  # by a killed search
            self._study.tell(left.number, state=optuna.trial.TrialState.FAIL)
            if left.params:
                self._study.enqueue_trial(left.params)

    def propose(self) -> list[Proposal]:
        """The next round, or what is left of it; none when there are as many trials as were asked for."""
        done, size = len(self.finished()), self._search.round
        return [self._proposal(i) for i in range(done, min(self._search.trials, done - done % size + size))]

    def floors(self) -> tuple[float, ...]:
        """For each epoch, the median of the best accuracies until then, over all rounds: Optuna's median rule."""
        finished = list(self.finished().values())
        whole = finished[: len(finished) // self._search.round * self._search.round]
        if sum(tried.accuracy is not None for tried in whole) < WARM_UP:
            return ()
        series = [tried.epochs for tried in whole]
        return tuple(
            median(max(epochs[: i + 1]) for epochs in series if len(epochs) > i) for i in range(max(map(len, series)))
        )

    def tell(self, round: Sequence[tuple[Proposal, TrialResult]]) -> None:
        """Keep what became of a round."""
        from optuna.trial import TrialState

        for proposal, tried in round:
            for epoch, accuracy in enumerate(tried.epochs, 1):
                proposal.ask.report(accuracy, epoch)
            proposal.ask.set_user_attr("changes", proposal.changes)
            proposal.ask.set_user_attr(_TRIED, tried.model_dump_json())
            state = TrialState.COMPLETE if tried.accuracy is not None else TrialState.PRUNED
            self._study.tell(proposal.ask, tried.accuracy, state)

    def finished(self) -> dict[int, TrialResult]:
        """What the trials came to, by their number; not those that were cut short."""
        from optuna.trial import TrialState

        ended = self._study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))
        return {trial.number: TrialResult.model_validate_json(trial.user_attrs[_TRIED]) for trial in ended}

    def changes(self, number: int) -> dict[str, Any]:
        """The changes that a trial made."""
        found: dict[str, Any] = self._study.trials[number].user_attrs["changes"]
        return found

    def _proposal(self, number: int) -> Proposal:
        import optuna

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            self._study.sampler = optuna.samplers.TPESampler(seed=number, constant_liar=True)
        ask = self._study.ask()
        return Proposal({name: _suggested(ask, name, options) for name, options in self._search.space.items()}, ask)


@contextlib.contextmanager
def alone(home: Path, study: str) -> Iterator[None]:
    """Held while a study is searched. Raises UsageError if another process holds it."""
    folder = home / "locks"
    with disk_errors(home):
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / f"study-{study}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise UsageError(f"another process is searching the study {study!r}; wait, or name another one") from None
    try:
        yield
    finally:
        lock.release()


def _suggested(ask: "optuna.Trial", name: str, options: Any) -> Any:
    if not isinstance(options, Between):  # as text: Optuna keeps no lists
        return json.loads(ask.suggest_categorical(name, [json.dumps(value) for value in options]))
    if Hyperparameters.model_fields[name].annotation is int:
        return ask.suggest_int(name, int(options.low), int(options.high), log=options.log)
    return ask.suggest_float(name, options.low, options.high, log=options.log)
