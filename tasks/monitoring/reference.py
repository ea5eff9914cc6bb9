"""Which images did a version learn from? Their counts are kept for good, by the digest of the images and labels."""

import contextlib
import hashlib
from functools import partial
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from artifacts.errors import DigitflowError
from artifacts.lineage.manifest import Manifest
from artifacts.storage.home import MONITORING, RUNS
from artifacts.storage.store import Digest, Store, canonical_json
from tasks.data.datasets import Splits
from tasks.data.normalise import normalise_and_reshape
from tasks.monitoring.drift import BINS, STATISTICS, Reference
from tasks.registry.registry import Registry
from tasks.registry.versions import Version


class KeptReference(NamedTuple):
    """A reference, and the digest under which it is kept."""

    digest: Digest
    counts: Reference


def reference_of(version: Version, registry: Registry, store: Store) -> KeptReference:
    """The counts of the images and labels that a version learned from. They are computed once.

    Raises DigitflowError if it is not known which images these are, ArtifactLost if they are gone.
    """
    learned = recorded_data(version, registry, store).train
    parts = [learned.images.sha256, learned.labels.sha256, *STATISTICS, BINS]
    digest = hashlib.sha256(canonical_json(parts)).hexdigest()
    if found := kept_reference(digest, store):
        return KeptReference(digest, found)
    made = Reference.of(store.get(learned.images), store.get(learned.labels))
    path = store.write(_name(digest), made.model_dump_json().encode())
    if store.remote:
        store.remote.push(path, _name(digest))
    return KeptReference(digest, made)


def kept_reference(digest: Digest, store: Store) -> Reference | None:
    """The reference with that digest, from the home or the shared store; None if neither has it, intact."""
    for source in (store.read, store.fetch):
        with contextlib.suppress(ValidationError):
            return Reference.model_validate_json(source(_name(digest)) or b"")
    return None


def recorded_data(version: Version, registry: Registry, store: Store) -> Splits:
    """The images and labels that a version learned from, and those that it was judged on, as its run recorded them.

    The record is here or in MLflow. Raises DigitflowError if it is in neither.
    """
    here = partial(store.read, f"{RUNS}/{version.run}/manifest.json")
    for source in (here, partial(_in_mlflow, version, registry, store)):
        with contextlib.suppress(ValidationError, KeyError, StopIteration):
            steps = Manifest.model_validate_json(source() or b"").steps
            data = next(step.call.inputs["data"] for step in steps if step.name == normalise_and_reshape.name)
            return Splits.model_validate(data)
    raise DigitflowError(
        f"it is not known which images version {version.version} of {version.dataset} learned from: the record of its "
        f"run, {version.run}, is gone; train again, and the next version is compared"
    )


def _in_mlflow(version: Version, registry: Registry, store: Store) -> bytes | None:
    """The manifest of a version's run, as MLflow keeps it."""
    tracking = registry.tracking
    with contextlib.suppress(OSError, tracking.exception), store.scratch() as folder:
        return Path(tracking.client.download_artifacts(version.mlflow_run, "manifest.json", str(folder))).read_bytes()
    return None


def _name(digest: Digest) -> str:
    return f"{MONITORING}/references/{digest}.json"
