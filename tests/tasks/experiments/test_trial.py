"""A trial gives the same result in any worker process, and its key covers the code there."""

from tasks.experiments.trial import trial
from tasks.experiments.trial_worker import TrialResult
from tasks.training.workers import ONE_THREAD, stop_workers
from tests.tasks.experiments.conftest import HP, Parts


def test_same_in_any_process(parts: Parts) -> None:
    """A process that fitted other networks before gives the same result, to the last bit of the loss."""

    def ask(seed: int) -> TrialResult:
        result: TrialResult = trial.fn(*parts, HP, seed=seed, pruning_thresholds=None)
        return result.model_copy(update={"seconds": 0})

    try:
        first = ask(0)
        ask(1)
        again = ask(0)
        stop_workers()
        assert first == again == ask(0)
    finally:
        stop_workers()


def test_key_sees_the_fit(parts: Parts) -> None:
    """The key of a trial covers the code of the fit, which runs in another process, and the number of its threads."""
    code = trial.describe({"train": parts[0], "hyperparameters": HP, "seed": 0}).code
    reached = {
        "tasks.training.fit:fit_network",
        "tasks.model.network:build_network",
        "tasks.training.workers:ONE_THREAD",
    }
    assert reached <= code.keys()
    assert set(ONE_THREAD.values()) == {"1"}
