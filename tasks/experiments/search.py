"""A search for better hyperparameters: Optuna proposes trials from the results of earlier ones, kept in SQLite.

Optuna proposes a round of trials and gets the results of the whole round. So neither the number of processes nor their
speed decides which trials are proposed or pruned, and a search that was killed continues as if it never was.
"""

import contextlib
import json
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

from filelock import Timeout
from pydantic import BaseModel, Field

from artifacts.errors import UsageError
from artifacts.storage.home import LOCKS, disk_errors, locked
from artifacts.storage.store import canonical_json
from tasks.experiments.trial_worker import TrialResult
from tasks.experiments.variants import SPACE, Between, Space
from tasks.model.hyperparameters import Hyperparameters

if TYPE_CHECKING:
    import optuna

WARM_UP = 5
"""Number of finished trials before the first is pruned."""

_RESULT, _CHANGES, _SUBJECT = "tried", "changes", "about"
"""Names of attributes in Optuna's database."""


class Search(BaseModel, frozen=True, extra="forbid"):
    """The number of trials, the number of trials in a round, and the space; `study` is the name in the database."""

    trials: int = Field(ge=1, le=100_000)
    study: str = Field("", max_length=100, pattern=r"^[\w. -]*$")
    round: int = Field(4, ge=1, le=1000)
    space: Space = SPACE


class Proposal(NamedTuple):
    """Changes to try next, and Optuna's handle of the trial."""

    changes: dict[str, Any]
    trial: "optuna.Trial"


class Study:
    """The trials of one search so far."""

    def __init__(self, home: Path, name: str, search: Search, about: object):
        """Open the study `name` in the database, or create it. `about` is what its results depend on, as JSON.

        Raises UsageError if the study exists and is about something else.
        """
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        if "?" in str(home):
            raise UsageError(
                f"Optuna cannot keep a database in {home}, because of the ?; choose another DIGITFLOW_HOME"
            )
        self._search = search
        with disk_errors(home), locked(home, "optuna.lock"):  # two processes that create one database would collide
            self._study = optuna.create_study(
                storage=f"sqlite:///{home / 'optuna.db'}", study_name=name, direction="maximize", load_if_exists=True
            )
        subject = canonical_json(about).decode()
        if self._study.user_attrs.setdefault(_SUBJECT, subject) != subject:
            raise UsageError(
                f"the study {name!r} is about other data, another recipe, seed or space; name a new one with --study"
            )
        self._study.set_user_attr(_SUBJECT, subject)
        self._repeat_unfinished()

    def propose(self) -> list[Proposal]:
        """The next round, or the rest of it after a kill; empty once the search has all its trials."""
        done, size = len(self.finished()), self._search.round
        return [self._proposal(i) for i in range(done, min(self._search.trials, done - done % size + size))]

    def pruning_thresholds(self) -> tuple[float, ...]:
        """For each epoch, the median over the trials of whole rounds of their best accuracy until then.

        This is the rule of Optuna's MedianPruner. Empty until WARM_UP trials are finished.
        """
        finished = list(self.finished().values())
        whole_rounds = finished[: len(finished) // self._search.round * self._search.round]
        if sum(result.accuracy is not None for result in whole_rounds) < WARM_UP:
            return ()
        series = [result.epochs for result in whole_rounds]
        return tuple(
            median(max(epochs[: i + 1]) for epochs in series if len(epochs) > i) for i in range(max(map(len, series)))
        )

    def record(self, round: Sequence[tuple[Proposal, TrialResult]]) -> None:
        """Keep the results of a round."""
        from optuna.trial import TrialState

        for proposal, result in round:
            for epoch, accuracy in enumerate(result.epochs, 1):
                proposal.trial.report(accuracy, epoch)
            proposal.trial.set_user_attr(_CHANGES, proposal.changes)
            proposal.trial.set_user_attr(_RESULT, result.model_dump_json())
            state = TrialState.COMPLETE if result.accuracy is not None else TrialState.PRUNED
            self._study.tell(proposal.trial, result.accuracy, state)

    def finished(self) -> dict[int, TrialResult]:
        """The results of the trials by their number, without those that a kill interrupted."""
        from optuna.trial import TrialState

        ended = self._study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))
        return {trial.number: TrialResult.model_validate_json(trial.user_attrs[_RESULT]) for trial in ended}

    def changes(self, number: int) -> dict[str, Any]:
        """The changes that a trial tried."""
        changes: dict[str, Any] = self._study.trials[number].user_attrs[_CHANGES]
        return changes

    def _repeat_unfinished(self) -> None:
        """Queue the trials that a killed search left running: they are proposed first."""
        from optuna.trial import TrialState

        for trial in self._study.get_trials(states=(TrialState.RUNNING,)):
            self._study.tell(trial.number, state=TrialState.FAIL)
            if trial.params:
                self._study.enqueue_trial(trial.params)

    def _proposal(self, number: int) -> Proposal:
        import optuna

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            self._study.sampler = optuna.samplers.TPESampler(seed=number, constant_liar=True)
        trial = self._study.ask()
        return Proposal({name: _suggest(trial, name, options) for name, options in self._search.space.items()}, trial)


@contextlib.contextmanager
def study_lock(home: Path, study: str) -> Iterator[None]:
    """The lock of a study, for the time of its search. Raises UsageError if another process holds it."""
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(locked(home, f"{LOCKS}/study-{study}.lock", wait=False))
        except Timeout:
            raise UsageError(f"another process is searching the study {study!r}; wait, or name another one") from None
        yield


def _suggest(trial: "optuna.Trial", name: str, options: Any) -> Any:
    if not isinstance(options, Between):  # as text, because Optuna does not keep lists
        return json.loads(trial.suggest_categorical(name, [json.dumps(value) for value in options]))
    if Hyperparameters.model_fields[name].annotation is int:
        return trial.suggest_int(name, int(options.low), int(options.high), log=options.log)
    return trial.suggest_float(name, options.low, options.high, log=options.log)
