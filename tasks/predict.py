"""Predict a portion of many images; what was predicted once is remembered, so that a killed run goes on."""

from functools import lru_cache

from artifacts.classifier import Classifier
from artifacts.portions import Portion, images
from artifacts.registry import Candidate
from artifacts.store import Ref, Store
from tasks.caching import step


@step("predict", shaped_by=("keras", "backend", "numpy", "pillow"))
def predict(portion: Portion, model: Candidate, max_bytes: int, store: Store) -> Ref:
    """A list of `Prediction`s as JSON, one for each image of the portion and one for each file that cannot be read."""
    found = _classifier(model, store).read(images(portion, store, max_bytes))
    return store.put_json([prediction.model_dump(mode="json") for prediction in found])


@lru_cache(maxsize=1)
def _classifier(model: Candidate, store: Store) -> Classifier:
    return Classifier.of(model, store)
