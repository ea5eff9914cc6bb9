"""Where a training that was cut short goes on."""

import contextlib
import hashlib
import io
import json
import logging
import time
from collections.abc import Iterator
from contextvars import ContextVar
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel

from artifacts.storage.store import Store

if TYPE_CHECKING:
    from tasks.model.keras_setup import keras

EVERY = 60
"""Seconds after which a checkpoint is written within an epoch; at its end one is written in any case."""

_log = logging.getLogger(__name__)

History = dict[str, list[float]]


class Progress(BaseModel):
    """How far a training is: `batch` batches into `epoch`, with their mean `loss`, and what the epochs before gave."""

    epoch: int = 0
    batch: int = 0
    loss: float = 0
    history: History = {"loss": [], "accuracy": []}

    def after_epoch(self, loss: float, accuracy: float) -> "Progress":
        """At the start of the next epoch."""
        news = {"loss": loss, "accuracy": accuracy}
        history = {name: [*values, news[name]] for name, values in self.history.items()}
        return Progress(epoch=self.epoch + 1, history=history)


class Checkpoints:
    """The latest checkpoint of the training that `key` stands for; a new one takes the old one's place at once.

    It holds every variable of network and optimiser: weights, moments, position in the schedule, states of the random
    generators. The order of the images follows from seed and epoch.
    """

    def __init__(self, store: Store, key: str):
        self.store, self.name = store, f"checkpoints/{key}.npz"
        self._latest = time.monotonic()

    def is_due(self) -> bool:
        return time.monotonic() - self._latest >= EVERY

    def save(self, network: "keras.Model", progress: Progress) -> None:
        """Keep this state: SHA-256, then NPZ."""
        told = np.frombuffer(progress.model_dump_json().encode(), np.uint8)
        content = io.BytesIO()
        np.savez(content, told, *(np.asarray(variable) for variable in _variables(network)))
        self.store.write(self.name, hashlib.sha256(content.getvalue()).digest() + content.getvalue())
        self._latest = time.monotonic()

    def restore(self, network: "keras.Model") -> Progress:
        """Give a compiled network the state that was kept, if there is a sound one; returns how far that is."""
        content = self.store.read(self.name)
        if content is None:
            return Progress()
        try:
            if hashlib.sha256(content[32:]).digest() != content[:32]:
                raise ValueError("its bytes are damaged")
            with np.load(io.BytesIO(content[32:]), allow_pickle=False) as arrays:
                told, *values = (arrays[name] for name in arrays.files)
            progress = Progress.model_validate(json.loads(told.tobytes()))
            variables = _variables(network)
            if [tuple(v.shape) for v in variables] != [v.shape for v in values]:
                raise ValueError("it is another network's")
        except ValueError as error:
            _log.warning("ignored checkpoint %s: %s; training starts anew", self.name, error)
            return Progress()
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
        _log.info("training goes on after %d epochs and %d batches", progress.epoch, progress.batch)
        return progress

    def drop(self) -> None:
        """Forget the checkpoint: its training's result is remembered."""
        (self.store.home / self.name).unlink(missing_ok=True)


_here: ContextVar[Checkpoints | None] = ContextVar("here", default=None)


@contextlib.contextmanager
def kept_in(checkpoints: Checkpoints) -> Iterator[None]:
    """Inside, a training keeps its checkpoints there; they are dropped once what is inside has succeeded."""
    token = _here.set(checkpoints)
    try:
        yield
    finally:
        _here.reset(token)
    checkpoints.drop()


def here() -> Checkpoints | None:
    """Where the training that is under way keeps its checkpoints, if it does."""
    return _here.get()


def _variables(network: "keras.Model") -> list["keras.Variable"]:
    if hasattr(network, "jax_state_sync"):
        network.jax_state_sync()  # inside an epoch, JAX's state is not in the variables
    return [*network.variables, *network.optimizer.variables]
