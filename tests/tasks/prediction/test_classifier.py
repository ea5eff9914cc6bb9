"""A classifier gives the probabilities that the pipeline judged, from weights that are verified."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from artifacts.errors import ArtifactLost, UsageError
from artifacts.storage.store import Ref, Store
from tasks.data.images import GreyImage
from tasks.prediction.classifier import Classifier, Prediction, as_prediction
from tasks.prediction.sources import LoadedImage
from tasks.registry.registry import Registry

pytestmark = pytest.mark.prefect


@pytest.fixture
def home(in_use: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the home with a champion."""
    shutil.copytree(in_use, tmp_path / "home")
    monkeypatch.setenv("DIGITFLOW_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def judged(home: Path) -> tuple[np.ndarray, np.ndarray]:
    """The raw test images of the champion's run, and the probabilities by which it was judged."""
    (manifest,) = (json.loads(path.read_bytes()) for path in home.glob("runs/*/manifest.json"))
    results = {step["name"]: step["result"] for step in manifest["steps"]}
    refs = results["download"]["test"]["images"], results["evaluate"]["probabilities"]
    images, probabilities = (Store(home).get(Ref.model_validate(ref)) for ref in refs)
    return images, probabilities


def test_same_bits_as_the_pipeline(home: Path) -> None:
    """The champion's probabilities of the test images are those that the pipeline judged, bit for bit."""
    images, expected = judged(home)
    probabilities = Classifier.load("champion").predict(images)
    assert probabilities.dtype == np.float32
    np.testing.assert_array_equal(probabilities, expected)
    np.testing.assert_array_equal(Classifier.load(1, "mnist-sample").predict(images[:0]), expected[:0])


@pytest.mark.parametrize("names", [(), ("one", "two", "three")])
def test_classes_have_their_names(names: tuple[str, ...]) -> None:
    """A prediction names its class and the runner-up where the data set names its classes."""
    image, row = GreyImage(np.zeros((2, 2), np.uint8), ()), np.array([0.1, 0.6, 0.3], np.float32)
    prediction = as_prediction("a.png", image, row, class_names=names)
    assert (prediction.label, prediction.runner_up) == (1, 2)
    assert (prediction.name, prediction.runner_up_name) == (("two", "three") if names else (None, None))


def test_every_picture_has_a_row(home: Path) -> None:
    """Pictures of all kinds have predictions or errors in their order; those of the model's size stay as they are."""
    images, probabilities = judged(home)
    large = [np.kron(image, np.ones((5, 5), np.uint8)) for image in images[:2]]
    two, negative = np.pad(np.hstack(large), 20), GreyImage(255 - images[1], ("made grey",))
    loaded = [LoadedImage("unread", None, "cannot be read")]
    loaded += [LoadedImage(str(i), GreyImage(image, ())) for i, image in enumerate(images[:20])]
    loaded += [LoadedImage("large", GreyImage(large[0], ())), LoadedImage("negative", negative)]
    loaded += [LoadedImage("two", GreyImage(two, ()))]
    rows = list(Classifier.load().classify(loaded))
    assert [row.image for row in rows] == [item.name for item in loaded]
    assert rows[0].error == "cannot be read" and "2 separate shapes" in str(rows[-1].error)
    assert [row.probability for row in rows[1:21]] == pytest.approx(probabilities[:20].max(axis=1).tolist())
    assert rows[22].probability == pytest.approx(rows[2].probability) and rows[22].changes[0] == "made grey"
    split = list(Classifier.load().classify(loaded, several=True))[-2:]
    assert [(row.image, row.shape, row.label) for row in split] == [
        ("two", 1, rows[1].label),
        ("two", 2, rows[2].label),
    ]
    assert {row.shape for row in rows} == {None}


def test_unsure_below() -> None:
    """A prediction is unsure below the probability that is asked for; an error and an open question are neither."""
    read = Prediction(image="x", label=1, probability=0.6)
    assert [read.judged(limit).unsure for limit in (None, 0.5, 0.6, 0.7)] == [None, False, False, True]
    assert Prediction(image="x", error="no").judged(0.9).unsure is None


def test_without_mlflow(home: Path) -> None:
    """The local champion is found without importing MLflow or Prefect."""
    script = (
        "import sys; from digitflow import Classifier; Classifier.load(); "
        "assert not {'mlflow', 'prefect'} & {*sys.modules}"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_same_version_with_and_without_mlflow(home: Path) -> None:
    """The local database and MLflow give the same version."""
    registry = Registry(home)
    assert registry.find() == registry.champion("mnist-sample") == registry.find(1)


def test_damaged_weights(home: Path) -> None:
    """Damaged weights are never used: they come back from MLflow's copy, or else there is no classifier."""
    store, weights = Store(home), Registry(home).find().weights
    store.path(weights).write_bytes(b"damaged")
    assert Classifier.load().predict(np.zeros((1, 28, 28), np.uint8)).shape == (1, 10) and store.holds(weights)
    store.path(weights).write_bytes(b"damaged again")
    shutil.rmtree(home / "mlflow" / "artifacts")
    with pytest.raises(ArtifactLost, match="version 1 are gone"):
        Classifier.load()


def test_unusable_requests(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unknown models, and images of another type or size, are refused in words."""
    for model, dataset in ((2, None), ("best", None), ("champion", "fashion-mnist")):
        with pytest.raises(UsageError, match=r"there is no|is no model"):
            Classifier.load(model, dataset)
    classifier = Classifier.load()
    for images in (np.zeros((1, 8, 8), np.uint8), np.zeros((1, 28, 28), np.float64)):
        with pytest.raises(UsageError, match=r"uint8 images \(n, 28, 28\)"):
            classifier.predict(images)
    monkeypatch.setenv("DIGITFLOW_HOME", str(tmp_path / "empty"))
    with pytest.raises(UsageError, match="no champion"):
        Classifier.load()
