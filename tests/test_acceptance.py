"""The whole pipeline on the real MNIST, as a user runs it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from artifacts.storage.store import Ref, Store
from tests.command import Finished, digitflow

pytestmark = [pytest.mark.full_mnist, pytest.mark.prefect]


@pytest.fixture(scope="module")
def runs(mnist_mirror: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Finished, Finished]:
    """`digitflow train --json` on an empty home, and the same again when the mirror is gone."""
    home = str(tmp_path_factory.mktemp("acceptance") / "home")

    def train(mirror: str) -> Finished:
        return digitflow("train", "--json", DIGITFLOW_HOME=home, DIGITFLOW_MIRRORS=mirror, PREFECT_API_URL=None)

    return train(mnist_mirror), train("http://127.0.0.1:9/")


@pytest.fixture(scope="module")
def outcomes(runs: tuple[Finished, Finished]) -> tuple[dict[str, Any], dict[str, Any]]:
    first, second = runs
    return json.loads(first.stdout), json.loads(second.stdout)


def test_runs_pass_and_print_nothing_else(runs: tuple[Finished, Finished]) -> None:
    """Both runs exit with 0 and print one JSON object and nothing on stderr."""
    for run in runs:
        assert (run.returncode, run.stderr) == (0, "")
        assert isinstance(json.loads(run.stdout), dict)


def test_tutorial_is_reached(outcomes: tuple[dict[str, Any], dict[str, Any]]) -> None:
    """The tutorial's network reaches the tutorial's accuracy, 97.4%, and reads its first five test images."""
    first, _ = outcomes
    assert first["accuracy"] >= 0.974 and first["gate"]["passed"]
    assert first["predictions"] == [7, 2, 1, 0, 4]
    assert not any(task["cached"] for task in first["tasks"])


def test_second_run_is_the_first(outcomes: tuple[dict[str, Any], dict[str, Any]]) -> None:
    """The second run takes every step from the cache and comes to the same accuracy and the same weights."""
    first, second = outcomes
    assert all(task["cached"] for task in second["tasks"])
    assert second["accuracy"] == first["accuracy"]
    assert second["weights"] == first["weights"]  # whose name holds their digest
    assert Path(second["weights"]).is_file()


def test_predict_is_the_pipeline(outcomes: tuple[dict[str, Any], dict[str, Any]], mnist_folder: Path) -> None:
    """`digitflow predict` gives each MNIST test image, bit for bit, the probabilities that the pipeline judged."""
    home = Path(outcomes[0]["report"]).parents[2]
    images = mnist_folder / "t10k-images-idx3-ubyte.gz"
    told = json.loads(digitflow("predict", images, "--json", DIGITFLOW_HOME=str(home)).stdout)
    steps = json.loads(Path(outcomes[0]["report"]).with_name("manifest.json").read_bytes())["steps"]
    scored = next(step["result"] for step in steps if step["name"] == "evaluate")
    judged = Store(home).get(Ref.model_validate(scored["probabilities"]))
    assert [row["label"] for row in told[:5]] == [7, 2, 1, 0, 4]
    assert [row["label"] for row in told] == judged.argmax(axis=1).tolist()
    assert [row["probability"] for row in told] == judged.max(axis=1).tolist()
    assert [row["runner_up_probability"] for row in told] == np.sort(judged)[:, -2].tolist()
