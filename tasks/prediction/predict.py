"""Predict a portion of many images; what was predicted once is remembered, so that a killed run goes on."""

from functools import lru_cache

from artifacts.storage.store import Ref, Store
from tasks.caching import step
from tasks.prediction.classifier import Classifier
from tasks.prediction.shards import Shard, images
from tasks.registry.versions import Candidate


@step("predict", shaped_by=("keras", "backend", "numpy", "pillow"))
def predict(portion: Shard, model: Candidate, max_bytes: int, store: Store) -> Ref:
    """A list of `Prediction`s as JSON, one for each image of the portion and one for each file that cannot be read."""
    found = _classifier(model, store).read(images(portion, store, max_bytes))
    return store.put_json([prediction.model_dump(mode="json") for prediction in found])


@lru_cache(maxsize=1)
def _classifier(model: Candidate, store: Store) -> Classifier:
    return Classifier.of(model, store)
