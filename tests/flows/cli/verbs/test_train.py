"""`digitflow train` says in one line what is wrong with data, and prints one JSON object for a run."""

import contextlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from artifacts.storage.settings import Settings
from artifacts.storage.store import Store
from flows.cli.options import TrainingOptions
from flows.cli.verbs.train import _left_out
from flows.plan import Plan
from tasks.data.datasets import FILES
from tasks.registry.registry import Registry
from tasks.retraining.incoming.notes import Decision
from tasks.retraining.ledger import withdraw_batch
from tests.command import Finished, assert_refused, digitflow
from tests.conftest import Arrays, serve, write_idx
from tests.flows.cli.conftest import TINY, assert_whole
from tests.flows.cli.verbs.test_data import accept, learn
from tests.tasks.registry.conftest import register

STEPS = [
    *("read", "validate", "normalise-and-reshape", "one-hot-encode", "train"),
    *("evaluate", "save-weights", "evaluate-champion", "check-gate", "report"),
]
NOWHERE = "http://127.0.0.1:9/"


def test_folder_that_lacks_a_file(digits_folder: Path, home: Path) -> None:
    """A folder without one of the four files is refused by that file's name."""
    (digits_folder / f"{FILES[3]}.gz").unlink()
    assert_refused(digitflow("train", "--dataset", digits_folder), 2, str(digits_folder), FILES[3])
    assert not home.exists()


def test_folder_with_a_cut_file(digits_folder: Path, home: Path) -> None:
    """A gzip file that ends early is refused by its name."""
    path = digits_folder / f"{FILES[0]}.gz"
    path.write_bytes(path.read_bytes()[:-100])
    assert_refused(digitflow("train", "--dataset", digits_folder), 2, path.name, "not a whole gzip file")
    assert not home.exists()


@pytest.mark.prefect
def test_wrong_header(api: str, tmp_path: Path, home: Path, digits: Arrays) -> None:
    """An IDX file of another kind is refused by its name and by what it holds, in words, before a server starts."""
    folder = write_idx(tmp_path / "bad", digits, packed=False)
    path = folder / FILES[1]
    path.write_bytes(b"\x00\x00\x0d\x01" + path.read_bytes()[4:])
    words = (FILES[1], "float32 numbers (1,500)", "labels are a byte each")
    assert_refused(digitflow("train", "--dataset", folder, "--epochs", 1), 2, *words)
    assert_whole(home)


@pytest.mark.prefect
def test_data_that_break_their_contract(api: str, tmp_path: Path, home: Path, digits: Arrays) -> None:
    """A line each, and JSON, name the missing label and the label out of range, with its image; nothing is trained."""
    train_x, train_y, test_x, test_y = digits
    strange = np.where(np.arange(len(test_y)) == 7, np.uint8(200), test_y)
    folder = write_idx(tmp_path / "bad", (train_x, train_y[:-1], test_x, strange))
    run = digitflow("train", "--dataset", folder, *TINY)
    found = json.loads(run.stdout)
    assert {problem["check"] for problem in found["report"]["errors"]} == {"sizes", "unseen-label"}
    told, missing, unseen, way_on = run.stderr.splitlines()
    assert (run.returncode, told) == (2, "digitflow: bad:") and "`digitflow data check" in way_on
    assert "train labels" in missing and "1499" in missing and "1500" in missing
    assert "test labels" in unseen and "must occur in training" in unseen and "images 7" in unseen
    assert_whole(home)
    assert not (home / "models").exists()


@pytest.mark.prefect
def test_a_grown_data_set(passed: Finished, shared: Path, own: dict[str, str | None], digits: Arrays) -> None:
    """One class less, or another size, under the name of a champion is refused before training, with a way on."""
    train_x, train_y, test_x, test_y = digits
    kept, tests = train_y < 9, test_y < 9
    fewer = write_idx(shared / "fewer" / "data", (train_x[kept], train_y[kept], test_x[tests], test_y[tests]))
    wide = [np.pad(images, ((0, 0), (0, 0), (1, 1))) for images in (train_x, test_x)]
    larger = write_idx(shared / "larger" / "data", (wide[0], train_y, wide[1], test_y))
    for folder, words in ((fewer, "9 classes and images of 8×8"), (larger, "10 classes and images of 10×8")):
        run = digitflow("train", "--dataset", folder, *TINY, **own)
        assert_refused(run, 2, f"data has {words}", "10 classes and 8×8", "--dataset-name data-2")


@pytest.mark.prefect
def test_useless_mirrors(api: str, home: Path, digits_folder: Path) -> None:
    """Each mirror is named with its reason: not there, or serving other images; nothing of them is kept."""
    with contextlib.contextmanager(serve)(digits_folder) as url:
        run = digitflow("train", DIGITFLOW_MIRRORS=f"{NOWHERE}, {url}")
    assert_refused(run, 1, NOWHERE, "refused", url, "SHA-256", "ba891046e650", "DIGITFLOW_MIRRORS")
    assert_whole(home)
    assert not (home / "objects").exists()


@pytest.mark.prefect
def test_sample_instead_of_no_mirror(api: str, home: Path) -> None:
    """With --or-sample, a run without mirrors warns in one line, trains on the sample and passes its gate."""
    run = digitflow("train", "--or-sample", "--json", DIGITFLOW_MIRRORS=NOWHERE)
    assert run.returncode == 0
    assert run.stderr.startswith("digitflow: no mirror of mnist answers; using mnist-sample")
    assert run.stderr.count("\n") == 1
    assert json.loads(run.stdout)["dataset"] == "mnist-sample"


# Runs on the command's own server; they share one home


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, digits: Arrays) -> Path:
    """A folder with `data`, the digits, and `home`, where several runs go."""
    folder = tmp_path_factory.mktemp("runs")
    write_idx(folder / "data", digits)
    return folder


@pytest.fixture(scope="module")
def own(shared: Path) -> dict[str, str | None]:
    """Variables with which the command works in the shared home, on a server of its own."""
    return {"DIGITFLOW_HOME": str(shared / "home"), "PREFECT_API_URL": None}


@pytest.fixture(scope="module")
def passed(shared: Path, own: dict[str, str | None]) -> Finished:
    """A first run."""
    return digitflow("train", "--dataset", shared / "data", *TINY, **own)


@pytest.fixture(scope="module")
def again(shared: Path, own: dict[str, str | None], passed: Finished) -> tuple[Finished, set[str]]:
    """The same run once more, and the modules that it imported."""
    listing = shared / "modules"
    note = f"open({str(listing)!r}, 'w').write(' '.join(sys.modules))"
    command = (sys.executable, "-c", f"import sys; from flows.cli.app import main\ntry: main()\nfinally: {note}")
    run = digitflow("train", "--dataset", shared / "data", *TINY, command=command, **own)
    return run, set(listing.read_text().split())


@pytest.mark.prefect
def test_json_is_all_that_is_printed(passed: Finished, shared: Path) -> None:
    """A run prints one JSON object, which says what was trained, how well, where it is, and what each step cost."""
    assert (passed.returncode, passed.stderr) == (0, "")
    outcome = json.loads(passed.stdout)
    assert (outcome["dataset"], outcome["recipe"], outcome["seed"]) == ("data", "tutorial", 0)
    assert 0.1 <= outcome["accuracy"] <= 1 and outcome["gate"]["passed"] is True
    assert outcome["gate"]["threshold"] == 0.1 and outcome["seconds"] > 0
    (check,) = outcome["gate"]["checks"]
    assert (check["name"], check["value"]) == ("accuracy", outcome["accuracy"])
    assert [task["name"] for task in outcome["tasks"]] == STEPS
    assert all(task["cached"] is False and task["seconds"] >= 0 for task in outcome["tasks"])


@pytest.mark.prefect
def test_paths_lead_to_files(passed: Finished, shared: Path) -> None:
    """Weights and report are where the outcome says; weights that passed are under models/."""
    outcome = json.loads(passed.stdout)
    assert Path(outcome["weights"]).parent == shared / "home" / "models"
    assert Path(outcome["weights"]).name.endswith(".weights.h5") and Path(outcome["weights"]).stat().st_size
    assert "<html" in Path(outcome["report"]).read_text()
    assert_whole(shared / "home")


def test_a_failure_is_told(received: list[Any], home: Path) -> None:
    """A command that fails where no server is named tells the webhook why, as a cron job must."""
    failed = digitflow("train", DIGITFLOW_MIRRORS=NOWHERE, PREFECT_API_URL=None)
    assert failed.returncode == 1
    assert [notice["event"] for notice in received] == ["digitflow.run.failed"]
    assert received[0]["payload"]["error"] in failed.stderr and NOWHERE in failed.stderr


@pytest.mark.prefect
@pytest.mark.quick
def test_second_run_is_cached(passed: Finished, again: tuple[Finished, set[str]]) -> None:
    """The same command again gives the same outcome from the cache, and imports no Prefect, TensorFlow or MLflow."""
    run, modules = again
    first, second = json.loads(passed.stdout), json.loads(run.stdout)
    assert (run.returncode, run.stderr) == (0, "")
    assert all(task["cached"] for task in second["tasks"])
    for name in ("accuracy", "interval", "predictions", "gate", "weights"):
        assert first[name] == second[name]
    assert not {"prefect", "tensorflow", "keras", "mlflow"} & modules


@pytest.mark.prefect
def test_rejected_model_stays_out(passed: Finished, shared: Path, api: str) -> None:
    """A model below the gate exits with 3 and a reason; report and weights are in its run's folder, not in models/."""
    home = shared / "home"
    models = sorted((home / "models").iterdir())
    run = digitflow(
        *("train", "--dataset", shared / "data", "--epochs", 1, "--min-accuracy", 1),
        DIGITFLOW_HOME=str(home),
        PREFECT_API_URL=api,
    )
    assert (run.returncode, run.stderr) == (3, "")
    assert "REJECTED: accuracy is " in run.stdout and "not at least 100%\n" in run.stdout
    (weights,) = home.glob("runs/*/rejected.weights.h5")
    assert weights.with_name("report.html").is_file() and str(weights) in run.stdout
    assert sorted((home / "models").iterdir()) == models


def test_batches_that_are_left_out(store: Store, digits_folder: Path) -> None:
    """A training on a data set with accepted batches says that it leaves them out, and whether the champion learned
    from them; without any, or once they are withdrawn, it says nothing."""
    parameters = TrainingOptions(dataset=str(digits_folder)).parameters()
    plan = Plan.of(**parameters, settings=Settings.load())

    def said() -> str:
        return _left_out(plan, parameters, Settings.load())

    assert said() == ""
    one, _ = accept(store, "one.npz"), accept(store, "two.npz")
    assert said().startswith("digits has 4 images of accepted batches; this training leaves them out")
    assert f"retraining/on-demand --param dataset={digits_folder}" in said()
    registry = Registry(store.home)
    registry.promote(register(store, 1), "best", None)
    learn(store, 1, one)
    assert "4 images of accepted batches, from which the champion, version 1, learned; this" in said()
    for name in ("one.npz", "two.npz"):
        withdraw_batch("digits", name, Decision(reason="blurred"), store)
    assert said() == ""
