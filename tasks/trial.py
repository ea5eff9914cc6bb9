"""Try hyperparameters, in a process of the machine that this runs on."""

from artifacts.attempts import answer
from artifacts.children import ask
from artifacts.datasets import Split
from artifacts.hyperparameters import Hyperparameters
from artifacts.results import Tried
from tasks.caching import step


@step("trial", shaped_by=("keras", "backend", "numpy"))
def trial(
    train: Split, held_out: Split, hyperparameters: Hyperparameters, seed: int, floors: tuple[float, ...] | None
) -> Tried:
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
    return Tried.model_validate(ask(answer.__module__, request))  # named, so that its code counts as reached
