"""Checkpoints, from which a training that was killed continues."""

import contextlib
import hashlib
import io
import json
import logging
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel

from artifacts.errors import DigitflowError
from artifacts.storage.home import CHECKPOINTS, disk_errors
from artifacts.storage.leases import require_lease
from artifacts.storage.remote import Remote

if TYPE_CHECKING:
    from tasks.model.keras_setup import keras

INTERVAL = 60
"""Seconds between two checkpoints within an epoch. The end of an epoch always writes one.

Another value changes the key of the steps `train` and `trial`, which are then computed again, to the same bytes.
"""

_log = logging.getLogger(__name__)

History = dict[str, list[float]]


class Progress(BaseModel):
    """How far a training is: `batch` batches into `epoch`, their mean `loss`, and the history of the epochs before."""

    epoch: int = 0
    batch: int = 0
    loss: float = 0
    history: History = {"loss": [], "accuracy": []}

    def after_epoch(self, loss: float, accuracy: float) -> "Progress":
        """The progress at the start of the next epoch."""
        latest = {"loss": loss, "accuracy": accuracy}
        history = {name: [*values, latest[name]] for name, values in self.history.items()}
        return Progress(epoch=self.epoch + 1, history=history)


class Checkpoints:
    """The latest checkpoint of one training, in `folder`. Each new one replaces the one before atomically.

    It holds every variable of network and optimiser: weights, moments, position in the schedule, states of the random
    generators. The order of the images follows from seed and epoch.

    With a `remote`, each is copied there too, so that another machine continues when this one is gone.
    """

    def __init__(self, folder: Path, remote: Remote | None = None):
        self.path = folder / "checkpoint.npz"
        self._remote, self._name = remote, f"{CHECKPOINTS}/{folder.name}/{self.path.name}"
        self._saved_at = time.monotonic()

    def is_due(self) -> bool:
        """Whether INTERVAL seconds have passed since the last checkpoint, or since this object was made."""
        return time.monotonic() - self._saved_at >= INTERVAL

    def save(self, network: "keras.Model", progress: Progress) -> None:
        """Write a checkpoint: 32 bytes of SHA-256, then NPZ. Raises LeaseLost if another machine may train this now."""
        require_lease(self.path.parent.name)
        header = np.frombuffer(progress.model_dump_json().encode(), np.uint8)
        content = io.BytesIO()
        np.savez(content, header, *(np.asarray(variable) for variable in _variables(network)))
        self._write(hashlib.sha256(content.getvalue()).digest() + content.getvalue())
        self._saved_at = time.monotonic()

    def restore(self, network: "keras.Model") -> Progress:
        """Load the checkpoint into a compiled network. Without a sound checkpoint, the network stays as it is."""
        variables = _variables(network)
        found = [found for content in self._contents() if (found := self._parsed(content, variables))]
        if not found:
            return Progress()
        progress, values = max(found, key=lambda found: (found[0].epoch, found[0].batch))
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
        _log.info("training continues after %d epochs and %d batches", progress.epoch, progress.batch)
        return progress

    def _contents(self) -> Iterator[bytes]:
        """This machine's checkpoint, and the one that another machine may have copied to the shared store."""
        with contextlib.suppress(OSError):
            yield self.path.read_bytes()
        if self._remote:
            with tempfile.TemporaryDirectory() as folder, contextlib.suppress(DigitflowError):
                if self._remote.pull(self._name, Path(folder, "checkpoint")):
                    yield Path(folder, "checkpoint").read_bytes()

    def _parsed(self, content: bytes, variables: list["keras.Variable"]) -> tuple[Progress, list[np.ndarray]] | None:
        try:
            progress, values = _parse(content)
            if [tuple(variable.shape) for variable in variables] != [value.shape for value in values]:
                raise ValueError("it belongs to another network")
        except ValueError as error:
            _log.warning("ignored checkpoint %s: %s; training starts from the beginning", self.path, error)
            return None
        return progress, values

    def _write(self, content: bytes) -> None:
        new = self.path.with_suffix(".new")
        with disk_errors(self.path.parent):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with new.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            new.replace(self.path)
        if self._remote:
            try:
                self._remote.push(self.path, self._name)
            except DigitflowError as error:  # the next one may get through
                _log.warning("no checkpoint was copied: %s", error)


def _parse(content: bytes) -> tuple[Progress, list[np.ndarray]]:
    """The progress and the variables in a checkpoint. Raises ValueError if its bytes are damaged."""
    if hashlib.sha256(content[32:]).digest() != content[:32]:
        raise ValueError("its bytes are damaged")
    with np.load(io.BytesIO(content[32:]), allow_pickle=False) as arrays:
        header, *values = (arrays[name] for name in arrays.files)
    return Progress.model_validate(json.loads(header.tobytes())), values


def _variables(network: "keras.Model") -> list["keras.Variable"]:
    if hasattr(network, "jax_state_sync"):
        network.jax_state_sync()  # within an epoch, JAX keeps the state outside the variables
    return [*network.variables, *network.optimizer.variables]
