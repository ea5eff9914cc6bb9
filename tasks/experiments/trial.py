"""Try hyperparameters: fit on a part of the training images, and score on the held-out ones."""

from tasks.caching import step
from tasks.data.datasets import Split
from tasks.experiments.trial_worker import TrialResult, answer_trial
from tasks.model.hyperparameters import Hyperparameters
from tasks.training.workers import ask_idle_worker


@step("trial", shaped_by=("keras", "backend", "numpy"))
def trial(
    train: Split,
    held_out: Split,
    hyperparameters: Hyperparameters,
    *,
    seed: int,
    pruning_thresholds: tuple[float, ...] | None,
) -> TrialResult:
    """Run a trial in a worker process of the machine that this step runs on, which may be any of a cluster.

    The worker reads the arrays from the store of that machine; only references travel.
    """
    request = {
        "train": train.model_dump(mode="json"),
        "held_out": held_out.model_dump(mode="json"),
        "hyperparameters": hyperparameters.model_dump(mode="json"),
        "seed": seed,
        "pruning_thresholds": pruning_thresholds,
    }
    module = answer_trial.__module__  # named, so that its code counts as reached
    return TrialResult.model_validate(ask_idle_worker(module, request))
