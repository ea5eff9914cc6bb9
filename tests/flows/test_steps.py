"""The steps of a training run, without Prefect."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from artifacts.errors import UsageError
from artifacts.storage.settings import Settings
from artifacts.storage.store import Store
from flows.plan import Plan
from flows.steps import read_scores, refuse_unsuitable, train_and_judge
from tasks.caching import Step, replaced_by
from tasks.data.datasets import Splits
from tasks.evaluation.gate import Gate
from tasks.model.hyperparameters import Overrides
from tasks.registry.registry import Registry
from tests.conftest import Arrays, write_idx
from tests.tasks.registry.conftest import PACKAGE, candidate, weights

STEPS = [
    *("read", "validate", "normalise-and-reshape", "one-hot-encode", "train", "evaluate", "save-weights"),
    *("evaluate-champion", "check-gate", "report"),
]


def grown(arrays: Arrays) -> tuple[Arrays, tuple[str, ...]]:
    return (arrays[0], np.where(arrays[1] == 9, 10, arrays[1]).astype(np.uint8), *arrays[2:]), ()


def widened(arrays: Arrays) -> tuple[Arrays, tuple[str, ...]]:
    train_x, test_x = (np.pad(images, ((0, 0), (2, 2), (2, 2))) for images in (arrays[0], arrays[2]))
    return (train_x, arrays[1], test_x, arrays[3]), ()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (grown, "has 11 classes and images of 8×8, but its champion, version 1, was trained on 10 classes and 8×8"),
        (widened, "has 10 classes and images of 12×12, but its champion, version 1, was trained on 10 classes and 8×8"),
        (lambda arrays: (arrays, tuple("abcdefghix")), "has the class x where its champion, version 1, has j"),
        (lambda arrays: (arrays, tuple("abcdefghij")), ""),
        (lambda arrays: (arrays, ()), ""),
    ],
    ids=["a class more", "another size", "another name", "the same names", "no names"],
)
def test_other_classes_than_the_champion(
    change: Callable[[Arrays], tuple[Arrays, tuple[str, ...]]],
    words: str,
    store: Store,
    *,
    digits: Arrays,
    home: Path,
) -> None:
    """Data of other classes or another size than the champion's are refused before training, with a way on."""
    settings, registry = Settings.load(), Registry(home)
    arrays, names = change(digits)
    model = candidate(weights(store, 0), dataset="my cards", class_names=tuple("abcdefghij"))
    made = registry.register(model, PACKAGE, store)
    registry.promote(made, "good", None)
    folder = write_idx(home.parent / "my cards", arrays)
    plan = Plan.of(str(folder), "tutorial", 0, hyperparameters=Overrides(), gate=Gate(), settings=settings)
    data = Splits.of(*map(settings.artifacts.put, arrays)).model_copy(update={"class_names": names})
    if not words:
        refuse_unsuitable(plan, data, settings)
        return
    with pytest.raises(UsageError) as refused:
        refuse_unsuitable(plan, data, settings)
    assert words in str(refused.value) and "--dataset-name 'my cards-2'" in str(refused.value)


def test_images_too_small_for_the_network(digits_folder: Path, digits: Arrays, store: Store) -> None:
    """Images that are too small for the network are refused once their size is known: of a named data set, at once."""
    large = Overrides(kernel_size=(9,))
    settings = Settings.load()
    plan = Plan.of(str(digits_folder), "tutorial", 0, hyperparameters=large, gate=Gate(), settings=settings)
    with pytest.raises(UsageError, match="images of 8×8 are too small for convolution 1 of 1"):
        refuse_unsuitable(plan, Splits.of(*map(store.put, digits)), settings)
    with pytest.raises(UsageError, match="images of 28×28 are too small"):
        Plan.of("mnist", "tutorial", 0, hyperparameters=Overrides(strides=(40,)), gate=Gate(), settings=settings)


def test_steps_give_a_verdict_without_prefect(home: Path, digits_folder: Path) -> None:
    """Each step runs once, in order, as the function that it is, and the gate gives its verdict on the result."""
    called: list[str] = []

    def run_step(step: Step[Any, Any], arguments: dict[str, Any]) -> Any:
        called.append(step.name)
        return step.fn(**arguments)

    settings = Settings.load()
    overrides, gate = Overrides(epochs=1, batch_size=64), Gate(min_accuracy=0.2)
    plan = Plan.of(str(digits_folder), "tutorial", 0, hyperparameters=overrides, gate=gate, settings=settings)
    with replaced_by(run_step):
        results = train_and_judge(plan, settings)
    evaluation, verdict = read_scores(results, settings.artifacts)
    assert called == STEPS
    assert verdict.passed == (evaluation.accuracy >= 0.2) and verdict.baseline.absence == "no champion yet"
