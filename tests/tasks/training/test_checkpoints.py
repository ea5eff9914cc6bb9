"""A checkpoint is used only if it is intact and belongs to the network; it is never half written."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from artifacts.errors import DigitflowError, LeaseLost
from artifacts.storage import leases
from artifacts.storage.leases import LeasedLock
from tasks.training.checkpoints import Checkpoints, Progress
from tasks.training.fit import fit_network
from tests.tasks.training.test_train import HARD, small


class Whole(NamedTuple):
    """The last checkpoint of a training, and the weights that it ends in."""

    checkpoint: bytes
    weights: list[np.ndarray]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    checkpoints = Checkpoints(tmp_path_factory.mktemp("whole"))
    network, _ = fit_network(*small(), HARD, seed=3, checkpoints=checkpoints)
    return Whole(checkpoints.path.read_bytes(), network.get_weights())


@pytest.mark.parametrize("damage", ["truncate", "flip", "other"])
def test_unsound_checkpoint_is_ignored(
    damage: str, whole: Whole, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A checkpoint that is truncated, damaged or another network's is ignored with a warning; training starts over."""
    checkpoints, content = Checkpoints(tmp_path), bytearray(whole.checkpoint)
    if damage == "truncate":
        checkpoints.path.write_bytes(content[:-9])
    elif damage == "flip":
        content[len(content) // 2] ^= 1
        checkpoints.path.write_bytes(content)
    else:
        other = HARD.model_copy(update={"filters": (4, 9), "epochs": 1})
        fit_network(*small(), other, seed=3, checkpoints=checkpoints)
    network, history = fit_network(*small(), HARD, seed=3, checkpoints=checkpoints)
    assert "ignored checkpoint" in caplog.text and len(history["loss"]) == 4
    for weight, expected in zip(network.get_weights(), whole.weights, strict=True):
        np.testing.assert_array_equal(weight, expected)


def test_training_stops_when_its_lock_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A training whose lock another machine may have ends at its next checkpoint, which it does not write."""
    lost = LeasedLock("redis://host", tmp_path.name)
    monkeypatch.setattr(lost, "_is_taken_over", True)
    monkeypatch.setitem(leases._taken, tmp_path.name, lost)
    epochs: list[int] = []
    with pytest.raises(LeaseLost):
        checkpoints = Checkpoints(tmp_path)
        fit_network(*small(), HARD, seed=3, checkpoints=checkpoints, after_epoch=lambda _: epochs.append(1))
    assert not epochs and not checkpoints.path.exists()


def test_failed_write_keeps_the_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint that cannot be written is a clear error, and the one before stays as it was."""
    checkpoints, (images, targets) = Checkpoints(tmp_path), small()
    network, _ = fit_network(images[:8], targets[:8], HARD.model_copy(update={"epochs": 1}), seed=0)
    network.compile("adam", "mse")
    checkpoints.save(network, Progress(epoch=1))
    before = checkpoints.path.read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tasks.training.checkpoints.os.fsync", full)
    with pytest.raises(DigitflowError, match="No space left on device; free some space"):
        checkpoints.save(network, Progress(epoch=2))
    assert checkpoints.path.read_bytes() == before
