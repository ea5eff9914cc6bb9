"""Train the network that hyperparameters describe, and store its weights."""

from pydantic import BaseModel

from artifacts.storage.store import Ref, Store
from tasks.caching import resume_folder, step
from tasks.model.hyperparameters import Hyperparameters
from tasks.training.checkpoints import Checkpoints
from tasks.training.fit import fit_network


class Trained(BaseModel, frozen=True):
    """Weights of the last epoch (Keras `.weights.h5`), and the training history: one list per series as JSON."""

    weights: Ref
    history: Ref


@step("train", shaped_by=("keras", "backend", "numpy"))
def train(images: Ref, targets: Ref, hyperparameters: Hyperparameters, *, seed: int, store: Store) -> Trained:
    """Train on images (n, height, width, 1) and targets (n, classes), from the checkpoint of a killed run if any."""
    arrays, folder = (store.get(images), store.get(targets)), resume_folder()
    checkpoints = Checkpoints(folder, store.remote) if folder else None
    network, history = fit_network(*arrays, hyperparameters, seed=seed, checkpoints=checkpoints)
    with store.scratch() as scratch:
        path = scratch / "network.weights.h5"
        network.save_weights(path)
        weights = store.put_bytes(path.read_bytes(), "weights.h5")
    return Trained(weights=weights, history=store.put_json(history))
