"""`digitflow predict` gives a prediction or an error for each image; a table is whole, and none of its rows is lost."""

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.command import COMMAND, digitflow, environment
from tests.conftest import serve
from tests.flows.cli.conftest import Called
from tests.pictures import mnist_sample

pytestmark = pytest.mark.prefect


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    """90 digits of mnist-sample, nine of each."""
    images, labels = mnist_sample()
    chosen = np.concatenate([np.flatnonzero(labels == digit)[:9] for digit in range(10)])
    return images[chosen]


@pytest.fixture
def folder(images: np.ndarray, tmp_path: Path) -> Path:
    """Three arrays of 20 images, three pictures, and one file that is none."""
    folder = tmp_path / "images"
    folder.mkdir()
    for i in range(3):
        np.save(folder / f"{i}.npy", images[20 * i : 20 * i + 20])
        Image.fromarray(images[60 + i]).save(folder / f"{i}.png")
    (folder / "bad.png").write_bytes(b"bad")
    return folder


@pytest.fixture(scope="module")
def copy(in_use: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shutil.copytree(in_use, tmp_path_factory.mktemp("used") / "home")


@pytest.fixture(autouse=True)
def used(copy: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home in use, to which these tests add what was read."""
    monkeypatch.setenv("DIGITFLOW_HOME", str(copy))
    return copy


def test_readable_and_bad(folder: Path) -> None:
    """Each image has a prediction or an error, in order, with the model; a bad image makes the exit status 1."""
    done = digitflow("predict", folder, "nowhere.png", "--json")
    rows = json.loads(done.stdout)
    assert (done.returncode, done.stderr, len(rows)) == (1, "", 65)
    bad = [row["image"] for row in rows if "error" in row]
    assert bad == [str(folder / "bad.png"), "nowhere.png"]
    for row in rows:
        wanted = {"error"} if row["image"] in bad else {"label", "probability", "runner_up", "runner_up_probability"}
        assert row.keys() == {"image", "changes", "model", "dataset"} | wanted and row["model"] == 1
    labels = [row["label"] for row in rows if row["image"].endswith("]")]
    assert np.mean(np.array(labels) == np.arange(60) // 9) > 0.85


def test_list_on_stdin(folder: Path) -> None:
    """A dash stands for the paths on stdin; the table shows digit, probability, runner-up and changes of each image."""
    Image.fromarray(255 - np.pad(np.load(folder / "0.npy")[0], 9)).save(folder / "scan.png")
    listed = f"{folder}/0.png\n\n{folder}/scan.png\n"
    command = [*COMMAND, "predict", "-"]
    done = subprocess.run(command, input=listed, capture_output=True, text=True, env=environment())
    assert done.returncode == 0 and "version 1 of mnist-sample" in done.stderr
    head, first, second = done.stdout.splitlines()
    assert head.startswith("IMAGE") and first.startswith(f"{folder}/0.png")
    assert "inverted" in second and "scaled to" in second and "centred by mass" in second
    empty = subprocess.run(command, input="\n", capture_output=True, text=True, env=environment())
    assert empty.returncode == 2 and "is empty" in empty.stderr


def test_several_and_unsure(images: np.ndarray, tmp_path: Path, call: Callable[..., Called]) -> None:
    """Two digits are an error, or with --several a row each, from left to right; a row says where it is unsure."""
    pair = np.pad(np.kron(np.hstack([images[0], images[9]]), np.ones((5, 5), np.uint8)), 20)
    Image.fromarray(255 - pair).save(tmp_path / "two.png")
    done = call("predict", tmp_path / "two.png")
    assert done.status == 1 and "2 separate shapes" in done.stdout and "--several" in done.stdout
    for limit, is_unsure in (("0", False), ("1", True)):
        done = call("predict", tmp_path / "two.png", "--several", "--unsure-below", limit, "--json")
        rows = json.loads(done.stdout)
        assert [(row["shape"], row["label"], row["unsure"]) for row in rows] == [(1, 0, is_unsure), (2, 1, is_unsure)]
    table = call("predict", tmp_path / "two.png", "--several", "--unsure-below", "1").stdout
    assert table.count("unsure (") == 2
    done = call("predict", tmp_path, "--several", "--unsure-below", "1", "--output", tmp_path / "t.csv")
    assert done.status == 0 and (tmp_path / "t.csv").read_text().count("true") == 2, done.stderr
    assert call("predict", tmp_path / "two.png", "--unsure-below", "80").status == 2


def test_unusable_requests(tmp_path: Path, call: Callable[..., Called], monkeypatch: pytest.MonkeyPatch) -> None:
    """No image, no such file, model or table, no home with a champion: exit status 2 and one line that says so."""
    Image.new("L", (30, 30)).save(picture := tmp_path / "picture.png")
    for arguments, why in (
        (["predict"], "no image is named"),
        (["predict", "x.png"], "there is no file or folder x.png"),
        (["predict", picture, "--model", 7], "there is no version 7"),
        (["predict", "x.png", "--output", "x.txt"], "names no table"),
        (["predict", "x.png", "y.png", "--output", "x.csv"], "give one folder"),
    ):
        done = call(*arguments)
        assert (done.status, done.stdout) == (2, "") and why in done.stderr and done.stderr.count("\n") == 1
    monkeypatch.setenv("DIGITFLOW_HOME", str(tmp_path / "new"))
    done = call("predict", picture)
    assert done.status == 2 and "no champion" in done.stderr


KILLED = """
import os, signal, sys
from tasks.prediction import shards
read_images, calls = shards.read_images, []
def dying(*arguments, **options):
    calls.append(1)
    if len(calls) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return read_images(*arguments, **options)
shards.read_images = dying
from flows.prediction import prediction
prediction(*sys.argv[1:])
"""


def test_killed(folder: Path, tmp_path: Path, used: Path) -> None:
    """Killed in its third shard, a run leaves no table. The next computes the missing shards; its table, Parquet or
    CSV, over HTTP too, has each image once, bad ones too, with the version of the model. Prefect's page says what was
    read."""
    import pandas as pd
    from prefect.client.orchestration import get_client

    output, records = tmp_path / "tables" / "p.parquet", used / "records"
    before = len(list(records.iterdir()))
    killed = subprocess.run([sys.executable, "-c", KILLED, folder, output], env=environment(), capture_output=True)
    assert killed.returncode == -signal.SIGKILL and not list(tmp_path.glob("tables/*"))
    assert len(list(records.iterdir())) == before + 2
    done = digitflow("predict", folder, "--output", output, "--json")
    assert done.returncode == 1 and json.loads(done.stdout)["images"] == 64, done.stderr
    assert len(list(records.iterdir())) == before + 4
    with get_client(sync_client=True) as client:
        assert any(run.name.startswith("mnist-sample v1: 64 images (") for run in client.read_flow_runs())
    table = pd.read_parquet(output)
    names = [f"{i}.npy[{j}]" for i in range(3) for j in range(20)] + ["0.png", "1.png", "2.png", "bad.png"]
    assert table.image.tolist() == names and set(table.model) == {1} and set(table.dataset) == {"mnist-sample"}
    assert table.label.isna().tolist() == table.error.notna().tolist() == [False] * 63 + [True]
    again = tmp_path / "again.csv"
    for url in serve(folder):
        assert digitflow("predict", url, "--output", again).returncode == 1
    pd.testing.assert_frame_equal(
        pd.read_csv(again)[["image", "label", "error"]], table[["image", "label", "error"]], check_dtype=False
    )
    assert [path.name for path in output.parent.iterdir()] == ["p.parquet"]


def test_what_is_read_is_counted(folder: Path, tmp_path: Path, used: Path) -> None:
    """The images of a table that have no error are counted once, however often it is written. Where the training images
    are gone, it is written all the same, and one line says that nothing was compared."""
    home = shutil.copytree(used, tmp_path / "home", ignore=shutil.ignore_patterns("monitoring"))
    images = np.concatenate([np.load(folder / f"{i}.npy") for i in range(3)])
    np.save(folder / "dim.npy", np.tile(images // 4, (3, 1, 1)))
    for _ in range(2):
        done = digitflow("predict", folder, "--output", tmp_path / "t.csv", "--json", DIGITFLOW_HOME=str(home))
        assert json.loads(done.stdout)["images"] == 244 and "compared" not in done.stderr, done.stderr
        (day,) = json.loads(digitflow("drift", "--json", DIGITFLOW_HOME=str(home)).stdout)
        assert (day["images"], day["version"], day["is_drift"]) == (243, 1, True)
    shutil.rmtree(home / "monitoring")
    (manifest,) = (home / "runs").glob("*/manifest.json")
    train = json.loads(manifest.read_bytes())["steps"][1]["result"]["data"]["train"]["images"]["sha256"]
    next((home / "objects" / train[:2]).iterdir()).unlink()
    done = digitflow("predict", folder, "--output", tmp_path / "t.csv", DIGITFLOW_HOME=str(home))
    assert done.returncode == 1 and "not compared with the training images" in done.stderr
    assert not (home / "monitoring").exists()
