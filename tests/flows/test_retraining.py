"""Retraining learns from what arrived, once, and says so if nothing did."""

from pathlib import Path

import numpy as np
import pytest
from prefect.states import State

from artifacts.batches import add
from artifacts.gate import Gate
from artifacts.hyperparameters import Overrides
from flows.retraining import retraining
from tests.conftest import Arrays, write_idx

pytestmark = pytest.mark.prefect


def test_from_batch_to_champion(api: str, home: Path, tmp_path: Path, digits: Arrays) -> None:
    """A good batch is trained on as the champion was, and the model held against it on test and new images; a bad one
    is put aside; with neither, or the same again, nothing is trained."""
    train_x, train_y, test_x, test_y = digits
    folder = write_idx(tmp_path / "digits", (train_x[:1000], train_y[:1000], test_x, test_y))
    np.savez(tmp_path / "good.npz", images=train_x[1000:1300], labels=train_y[1000:1300])
    np.savez(tmp_path / "leak.npz", images=test_x[:50], labels=test_y[:50])

    def retrain(**parameters: object) -> State:
        return retraining(dataset=str(folder), gate=Gate(min_accuracy=0.3), return_state=True, **parameters)

    assert retrain(hyperparameters=Overrides(epochs=2)).name == "Promoted"
    assert retrain().name == "Unchanged"
    add(tmp_path / "good.npz", home)
    add(tmp_path / "leak.npz", home)
    learned = retrain().result()
    assert len(learned.arrivals.new) == 1 and "same image" in next(iter(learned.arrivals.quarantined.values()))
    assert "merge" in {task["name"] for task in learned.outcome.tasks}
    assert [c.name.split(" of ")[0] for c in learned.outcome.gate.checks] == ["accuracy", "p-value", "p-value"]
    assert "on new images" in learned.outcome.gate.checks[2].name
    add(tmp_path / "good.npz", home)
    assert retrain().name == "Unchanged"
