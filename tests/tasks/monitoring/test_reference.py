"""The images that a version learned from are known from its run, and their counts are kept."""

import shutil
from pathlib import Path

import pytest

from artifacts.errors import ArtifactLost, DigitflowError
from artifacts.lineage.manifest import Manifest
from artifacts.storage.home import OBJECTS
from artifacts.storage.remote import Remote
from artifacts.storage.store import Store
from tasks.monitoring.drift import Reference
from tasks.monitoring.reference import kept_reference, reference_of
from tasks.registry.registry import Registry
from tasks.registry.versions import Version
from tests.tasks.monitoring.conftest import version_of


def test_computed_once(store: Store, version: Version, reference: Reference) -> None:
    """The reference is that of the version's training images and labels, and is kept when these are gone."""
    registry = Registry(store.home)
    digest, counts = reference_of(version, registry, store)
    assert counts == reference == kept_reference(digest, store)
    shutil.rmtree(store.home / OBJECTS)
    assert reference_of(version, registry, store) == (digest, reference)
    assert len(list((store.home / "monitoring" / "references").iterdir())) == 1


def test_images_that_are_gone(store: Store, version: Version) -> None:
    """Without the training images there is no reference, and the error says how they come back."""
    shutil.rmtree(store.home / OBJECTS)
    with pytest.raises(ArtifactLost, match="run again to compute it"):
        reference_of(version, Registry(store.home), store)


def test_on_another_machine(store: Store, version: Version, reference: Reference, tmp_path: Path) -> None:
    """A machine that shares the store fetches the reference; a damaged file here counts as none."""
    shared = Remote(str(tmp_path / "shared"))
    digest, _ = reference_of(version, Registry(store.home), Store(store.home, shared))
    other = Store(tmp_path / "other", shared)
    other.write(f"monitoring/references/{digest}.json", b"{damaged")
    assert kept_reference(digest, other) == reference
    assert kept_reference("0" * 64, other) is None


def test_run_of_another_machine(store: Store, manifest: Manifest, reference: Reference) -> None:
    """A version whose run is not here is known by the manifest that MLflow keeps with it; one without is refused."""
    registry = Registry(store.home)
    client = registry.tracking.client
    run = client.create_run(registry.tracking.experiment).info.run_id
    client.log_text(run, manifest.model_dump_json(), "manifest.json")
    assert reference_of(version_of("elsewhere", run), registry, store).counts == reference
    with pytest.raises(DigitflowError, match="not known which images version 3 of digits learned from"):
        reference_of(version_of("elsewhere"), registry, store)
