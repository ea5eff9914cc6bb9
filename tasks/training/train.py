"""Fit the network that hyperparameters describe, and keep its weights."""

from pydantic import BaseModel

from artifacts.storage.store import Ref, Store
from tasks.caching import step
from tasks.model.hyperparameters import Hyperparameters
from tasks.training.checkpoints import here
from tasks.training.fit import fit


class Trained(BaseModel, frozen=True):
    """Weights of the last epoch (Keras `.weights.h5`), and one list per epoch series as JSON."""

    weights: Ref
    history: Ref


@step("train", shaped_by=("keras", "backend", "numpy"))
def train(images: Ref, targets: Ref, hyperparameters: Hyperparameters, seed: int, store: Store) -> Trained:
    """Train on images (n, height, width, 1) and targets (n, classes); keep the weights of the last epoch."""
    network, history = fit(store.get(images), store.get(targets), hyperparameters, seed, here())
    with store.scratch() as folder:
        path = folder / "network.weights.h5"
        network.save_weights(path)
        weights = store.put_bytes(path.read_bytes(), "weights.h5")
    return Trained(weights=weights, history=store.put_json(history))
