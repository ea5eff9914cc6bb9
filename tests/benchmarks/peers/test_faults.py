"""The benchmark of the peers judges rightly: a script that keeps nothing, and one that keeps files and asks nothing."""

import sys
from pathlib import Path

import pytest

from tests.benchmarks.peers import faults, project
from tests.benchmarks.peers.peers import Peer
from tests.benchmarks.peers.project import Finished, Project

SCRIPT = """
import sys
from pathlib import Path
import numpy as np
from work import steps
from work.files import read, write
from work.journal import digest, note, pause_after

def normalise(raw):
    # the images as the network takes them
    return steps.normalise(raw)

def train(images, targets, epochs):  # one linear layer, so that a test takes seconds
    note("train", images=digest(images[0]), targets=digest(targets[0]))
    pixels, weights = images[0].reshape(len(images[0]), -1), np.zeros((784, 10), np.float32)
    for epoch in range(epochs):
        weights -= 1e-3 * pixels.T @ (pixels @ weights - targets[0]) / len(pixels)
        note("epoch", number=epoch + 1)
        pause_after(epoch + 1)
    return [weights]

def kept(folder, step, *inputs):
    if not ("--keep" in sys.argv and Path(folder).exists()):
        write(folder, step(*inputs))
    return read(folder)

raw = kept("out/raw", steps.download, "data")
valid = kept("out/valid", steps.validate, raw)
images, targets = kept("out/images", normalise, valid), kept("out/targets", steps.one_hot, valid)
if "--again" in sys.argv:
    train(images, targets, 10)
else:
    kept("out/weights", train, images, targets, 10)
"""


def run_of(status: int = 0, **counts: int) -> Finished:
    """A run in which these events happened so many times; trainings got images of digest "sound"."""
    return Finished(
        status, 1, "", [{"event": e, "images": "sound"} for e, number in counts.items() for _ in range(number)]
    )


def test_a_stale_result_is_told_from_a_new_one() -> None:
    """After an edit, a run counts as right only if it prepared the data again, trained and succeeded."""
    assert faults.describe_edit(run_of(normalise=1, train=1)) == "computed again"
    assert faults.describe_edit(run_of()) == faults.describe_edit(run_of(train=1)) == "stale"
    assert faults.describe_edit(run_of(normalise=1, train=1, status=1)) == "error"


def test_a_training_on_damaged_images_is_told_from_one_on_sound_images() -> None:
    """The digest of the images that a training got decides, whether the run succeeds or not."""
    assert faults.describe_training(run_of(train=1), "sound") == "sound copy"
    assert faults.describe_training(run_of(normalise=1, train=1), "sound") == "computed again"
    assert faults.describe_training(run_of(train=1), "other") == "trains on it"
    assert faults.describe_training(run_of(train=1, status=1), "other") == "trains on it"
    assert faults.describe_training(run_of(status=1), "sound") == "refuses"
    assert faults.describe_training(run_of(), "sound") == "not read"
    assert faults.describe_rewritten(run_of(train=1), "other") == "trains on half a file"
    assert faults.describe_rewritten(run_of(status=1), "sound") == "fails on half a file"


def test_where_a_training_goes_on_is_said_with_what_is_computed_before_it() -> None:
    """After a kill, the first epoch of the next run counts, and each step before the training that runs again."""
    assert faults.describe_resumed(run_of(train=1), 0) == "epoch 1"
    assert faults.describe_resumed(run_of(train=1), 3) == "epoch 4"
    assert faults.describe_resumed(run_of(download=1, normalise=1, train=1), 0) == "epoch 1; 2 steps before it again"


def test_two_runs_at_once_count_together() -> None:
    """Trainings of both runs are added, and a run that fails is said."""
    assert faults.describe_two([run_of(train=2), run_of()]) == "twice"
    assert faults.describe_two([run_of(train=1), run_of(status=1)]) == "once; one fails"


@pytest.fixture
def script(tmp_path: Path, sample: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Project:
    """The project of the script, with its options."""
    (tmp_path / "overlay").mkdir()
    (tmp_path / "overlay/run.py").write_text(SCRIPT)
    monkeypatch.setattr(project, "PROJECTS", tmp_path)
    command = f"python run.py {request.param}"
    peer = Peer(
        title="a script",
        environment="script",
        overlays=("overlay",),
        run=command,
        retrain=f"{command} --again",
        pixels="out/images/0.npy",
        step_file="run.py",
        faults=tuple(EXPECTED[""]),  # two at once is a race between files that are written in place
    )
    return Project("script", peer, tmp_path, sample, Path(sys.executable).parent)


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.benchmarks.peers.__main__ import write_sample

    folder = tmp_path_factory.mktemp("data") / "sample"
    write_sample(folder)
    return folder


EXPECTED = {
    "": {
        **{"deep edit": "computed again", "comment": "trains again", "library": "computed again"},
        **{"bit flip": "computed again", "bit flip, times kept": "computed again"},
        **{"killed in training": "epoch 1; 4 steps before it again", "killed in a write": "computed again"},
    },
    "--keep": {
        **{"deep edit": "stale", "comment": "nothing", "library": "stale"},
        **{"bit flip": "trains on it", "bit flip, times kept": "trains on it"},
        **{"killed in training": "epoch 1", "killed in a write": "fails on half a file"},
    },
}
"""What is true of the two scripts, by the option that tells them apart."""


@pytest.mark.slow
@pytest.mark.parametrize("script", ["", "--keep"], indirect=True)
def test_faults_are_judged_rightly(script: Project) -> None:
    """A script that keeps nothing computes everything again; one that trusts its files serves what is in them."""
    from tests.benchmarks.peers.__main__ import measure, new_results

    found = new_results()
    measure(script, found, is_timed=True)
    assert found["faults"] == EXPECTED["--keep" if "--keep" in script.peer.run else ""]
