"""Try hyperparameters, in a process of the machine that this runs on."""

from tasks.caching import step
from tasks.data.datasets import Split
from tasks.experiments.trial_worker import TrialResult, answer
from tasks.model.hyperparameters import Hyperparameters
from tasks.training.workers import ask


@step("trial", shaped_by=("keras", "backend", "numpy"))
def trial(
    train: Split, held_out: Split, hyperparameters: Hyperparameters, seed: int, floors: tuple[float, ...] | None
) -> TrialResult:
    """Fit and score, with the store of the machine that this runs on, which may be any of a cluster: references travel,
    arrays do not.
    """
    request = {
        "train": train.model_dump(mode="json"),
        "held_out": held_out.model_dump(mode="json"),
        "hyperparameters": hyperparameters.model_dump(mode="json"),
        "seed": seed,
        "floors": floors,
    }
    return TrialResult.model_validate(ask(answer.__module__, request))  # named, so that its code counts as reached
