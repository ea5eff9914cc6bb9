"""Predict one shard of many images. Its result is recorded, so that a killed run continues after it."""

from functools import lru_cache

from artifacts.storage.store import Ref, Store
from tasks.caching import step
from tasks.prediction.classifier import Classifier
from tasks.prediction.shards import Shard, Workspace, read_shard
from tasks.registry.versions import Candidate


@step("predict", shaped_by=("keras", "backend", "numpy", "pillow"))
def predict(
    shard: Shard,
    model: Candidate,
    max_bytes: int,
    *,
    several: bool,
    workspace: Workspace,
    store: Store,
) -> Ref:
    """A list of `Prediction`s as JSON, one for each image of the shard and one for each file that cannot be read."""
    images = read_shard(shard, workspace, max_bytes)
    predictions = _load_classifier(model, store).classify(images, several=several)
    return store.put_json([prediction.model_dump(mode="json") for prediction in predictions])


@lru_cache(maxsize=1)
def _load_classifier(model: Candidate, store: Store) -> Classifier:
    """The classifier is loaded for the first shard that is not in the cache, and stays in memory for the next ones."""
    return Classifier.of(model, store)
