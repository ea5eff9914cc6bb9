"""Predict one shard of many images. Its result is recorded, so that a killed run continues after it."""

import logging
from collections.abc import Iterable
from functools import lru_cache

import numpy as np
from pydantic import BaseModel

from artifacts.errors import ArtifactLost
from artifacts.storage.store import Ref, Store
from tasks.caching import step
from tasks.monitoring.drift import STATISTICS, measure
from tasks.monitoring.watch import Watch
from tasks.prediction.classifier import Classifier
from tasks.prediction.shards import Shard, Workspace, read_shard
from tasks.registry.versions import Candidate, Version

_logger = logging.getLogger(__name__)


class Predicted(BaseModel, frozen=True):
    """What was read in a shard.

    `predictions`: a list of `Prediction`s as JSON, one for each image and one for each file that cannot be read.
    `measured`: float32 (n, statistics) of drift, one row for each prediction without an error.
    """

    predictions: Ref
    measured: Ref


@step("predict", shaped_by=("keras", "backend", "numpy", "pillow"))
def predict(
    shard: Shard,
    model: Candidate,
    max_bytes: int,
    *,
    several: bool,
    workspace: Workspace,
    store: Store,
) -> Predicted:
    """Read every image of a shard, and measure it as the network saw it."""
    predictions, measured = [], [np.empty((0, len(STATISTICS)), np.float32)]
    classifier, images = _load_classifier(model, store), read_shard(shard, workspace, max_bytes)
    for batch, seen in classifier.classify_batches(images, several=several):
        predictions += [prediction.model_dump(mode="json") for prediction in batch]
        measured.append(measure(seen))
    return Predicted(predictions=store.put_json(predictions), measured=store.put(np.concatenate(measured)))


def count_predicted(shards: Iterable[Predicted], version: Version, watch: Watch, store: Store) -> None:
    """Count what a version read in shards, each once: one that the cache answers for was counted when it was new."""
    for shard in shards:
        try:
            classes = [row["label"] for row in store.get_json(shard.predictions) if row["error"] is None]
            measured = store.get(shard.measured)
        except ArtifactLost as error:  # evicted meanwhile; the table is written, so the run has done its work
            _logger.warning("predicted images were not counted: %s", error)
        else:
            watch.add(version, measured, np.array(classes, np.uint8), batch=shard.measured.sha256)


@lru_cache(maxsize=1)
def _load_classifier(model: Candidate, store: Store) -> Classifier:
    """The classifier is loaded for the first shard that is not in the cache, and stays in memory for the next ones."""
    return Classifier.of(model, store)
