"""The command, as a user runs it: what it prints, how it exits, what it leaves behind."""

import contextlib
import hashlib
import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from flows.cli.output import log_on_stderr
from tasks.data.datasets import FILES, NAMES
from tasks.model.recipes import RECIPES
from tests.command import COMMAND, ROOT, Finished, digitflow, environment
from tests.conftest import Arrays, serve, write_idx

TINY = ("--epochs", "1", "--min-accuracy", "0.1", "--json")
STEPS = [
    *("download", "validate", "normalise-and-reshape", "one-hot-encode", "train"),
    *("evaluate", "save-weights", "evaluate-champion", "check-gate", "report"),
]
NOWHERE = "http://127.0.0.1:9/"


def assert_refused(run: Finished, status: int, *words: str) -> None:
    """One line on stderr that says so, nothing on stdout."""
    assert run.stderr.startswith("digitflow: ") and run.stderr.count("\n") == 1, run.stderr
    assert run.returncode == status
    assert run.stdout == ""
    for word in words:
        assert word in run.stderr


def assert_whole(home: Path) -> None:
    """No scratch file is left, and each stored artifact has the bytes that its name promises."""
    assert list((home / "tmp").iterdir()) == []
    for path in (home / "objects").glob("*/*"):
        assert path.parent.name + path.name.partition(".")[0] == hashlib.sha256(path.read_bytes()).hexdigest()


def processes_of(home: Path) -> list[int]:
    """The processes, other than this one, that were started with `home` in their environment."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if os.fsencode(home) in path.read_bytes() and path.parent.name != str(os.getpid()):
                found.append(int(path.parent.name))
    return found


def eventually(condition: Callable[[], object], seconds: float) -> bool:
    """Whether the condition comes true in time."""
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.1)
    return bool(condition())


@contextlib.contextmanager
def started(*arguments: str, **variables: str | None) -> Iterator[subprocess.Popen[str]]:
    """The command under way, in a process group of its own, as in a terminal."""
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=ROOT,
        env=environment(**variables),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's & makes children ignore it
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def interrupt(process: subprocess.Popen[str]) -> Finished:
    """Type Ctrl-C and wait for the end."""
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    return Finished(process.args, process.returncode, out, err)


# What is refused before anything starts


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--dataset", "minst"], ["'minst'", *NAMES, FILES[0]]),
        (["--recipe", "best"], ["best", *RECIPES]),
        (["--epochs", "0"], ["epochs", "greater than or equal to 1", "0"]),
        (["--epochs", "many"], ["epochs", "many"]),
        (["--filters", "8", "--kernel-size", "3", "--kernel-size", "5"], ["kernel_size", "filters"]),
        (["--seed", "-1"], ["--seed", "-1"]),
        (["--min-accuracy", "2"], ["--min-accuracy", "2"]),
        (["--learning-speed", "1"], ["--learning-speed"]),
        (["mnist", "0", "fashion"], ["fashion"]),
    ],
)
def test_wrong_command_line(arguments: list[str], words: list[str], home: Path) -> None:
    """A wrong option is told in one line, exits with 2, and touches nothing."""
    assert_refused(digitflow("train", *arguments), 2, *words)
    assert not home.exists()


def test_unknown_verb(home: Path) -> None:
    """An unknown verb is answered with those there are."""
    assert_refused(digitflow("trian"), 2, "trian", "train")


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("DIGITFLOW_MIRRORS", "ftp://x"),
        ("DIGITFLOW_TIMEOUT", "abc"),
        ("DIGITFLOW_TIMEOUT", "0"),
        ("DIGITFLOW_MAX_FILE_BYTES", "-1"),
    ],
)
def test_unusable_setting(variable: str, value: str, home: Path) -> None:
    """An unusable variable is named with its value, exits with 2, and nothing is touched."""
    assert_refused(digitflow("train", **{variable: value}), 2, variable, value)
    assert not home.exists()


def test_folder_that_lacks_a_file(digits_folder: Path, home: Path) -> None:
    """A folder without one of the four files is refused by that file's name."""
    (digits_folder / f"{FILES[3]}.gz").unlink()
    assert_refused(digitflow("train", "--dataset", digits_folder), 1, str(digits_folder), FILES[3])
    assert not home.exists()


def test_folder_with_a_cut_file(digits_folder: Path, home: Path) -> None:
    """A gzip file that ends early is refused by its name."""
    path = digits_folder / f"{FILES[0]}.gz"
    path.write_bytes(path.read_bytes()[:-100])
    assert_refused(digitflow("train", "--dataset", digits_folder), 1, path.name, "not a whole gzip file")
    assert not home.exists()


@pytest.mark.parametrize("below", ["", "below"])
def test_home_that_is_a_file(below: str, digits_folder: Path, home: Path) -> None:
    """A home that cannot be a folder is named, with the variable that moves it."""
    home.write_text("a file")
    run = digitflow("train", "--dataset", digits_folder, DIGITFLOW_HOME=str(home / below))
    assert_refused(run, 1, str(home), "DIGITFLOW_HOME")
    assert home.read_text() == "a file"


def test_help_is_quick_and_grouped() -> None:
    """Help lists the option groups, defaults and an example, without importing what makes the command slow."""
    script = "import sys; from flows.cli.app import main\ntry: main()\nfinally: print(*sys.modules, file=sys.stderr)"
    run = digitflow("train", "--help", command=(sys.executable, "-c", script), COLUMNS="120")
    assert run.returncode == 0
    for words in ("What to train", "Gate", "How to run", "Hyperparameters", "[default: mnist]", "Example: digitflow"):
        assert words in run.stdout
    assert not {"prefect", "keras", "tensorflow", "pandas", "matplotlib"} & set(run.stderr.split())


# What the steps refuse; one server serves all of these


@pytest.mark.prefect
def test_wrong_header(api: str, tmp_path: Path, home: Path, digits: Arrays) -> None:
    """An IDX file of another kind is refused by its name and its first bytes."""
    folder = write_idx(tmp_path / "bad", digits, packed=False)
    path = folder / FILES[1]
    path.write_bytes(b"\x00\x00\x0d\x01" + path.read_bytes()[4:])
    assert_refused(digitflow("train", "--dataset", folder, *TINY), 1, FILES[1], "00 00 0d 01", "00 00 08 01")
    assert_whole(home)


@pytest.mark.prefect
def test_data_that_break_their_contract(api: str, tmp_path: Path, home: Path, digits: Arrays) -> None:
    """One line tells of the missing label and of the label out of range, with its image; nothing is trained."""
    train_x, train_y, test_x, test_y = digits
    strange = np.where(np.arange(len(test_y)) == 7, np.uint8(200), test_y)
    folder = write_idx(tmp_path / "bad", (train_x, train_y[:-1], test_x, strange))
    run = digitflow("train", "--dataset", folder, *TINY)
    assert_refused(run, 1, "train labels", "1499", "1500", "test labels", "must occur in training", "images 7")
    assert_whole(home)
    assert not (home / "models").exists()


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


@pytest.mark.prefect
def test_second_run_is_cached(passed: Finished, again: tuple[Finished, set[str]]) -> None:
    """The same command again takes every step from the cache, comes to the same, and imports no TensorFlow."""
    run, modules = again
    first, second = json.loads(passed.stdout), json.loads(run.stdout)
    assert (run.returncode, run.stderr) == (0, "")
    assert all(task["cached"] for task in second["tasks"])
    for name in ("accuracy", "interval", "predictions", "gate", "weights"):
        assert first[name] == second[name]
    assert "prefect" in modules and not {"tensorflow", "keras"} & modules


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
    assert "REJECTED: accuracy is 0." in run.stdout and "not at least 1\n" in run.stdout
    (weights,) = home.glob("runs/*/rejected.weights.h5")
    assert weights.with_name("report.html").is_file() and str(weights) in run.stdout
    assert sorted((home / "models").iterdir()) == models


@pytest.fixture
def training(shared: Path, own: dict[str, str | None], passed: Finished) -> Iterator[subprocess.Popen[str]]:
    """A command in the middle of a training that would take hours, in a process group of its own."""
    home = shared / "home"
    before = set(home.glob("runs/*/manifest.json"))
    arguments = ("train", "--dataset", str(shared / "data"), "--epochs", "1000", "--batch-size", "1")
    with started(*arguments, **own) as process:
        assert eventually(lambda: _steps_done(set(home.glob("runs/*/manifest.json")) - before) == 4, 120)
        yield process


def _steps_done(manifests: set[Path]) -> int:
    return sum(len(json.loads(path.read_bytes())["steps"]) for path in manifests)


needs_proc = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="finds processes in /proc")


@pytest.mark.prefect
@needs_proc
def test_interrupt(training: subprocess.Popen[str], shared: Path) -> None:
    """Ctrl-C ends a training with 130 and one line; no process and no scratch file is left."""
    time.sleep(3)  # into the fit
    assert_refused(interrupt(training), 130, "interrupted")
    assert eventually(lambda: not processes_of(shared / "home"), 15)
    assert_whole(shared / "home")


@pytest.mark.prefect
@needs_proc
def test_interrupt_while_starting(digits_folder: Path, home: Path) -> None:
    """Ctrl-C while the server starts ends both likewise."""
    with started("train", "--dataset", str(digits_folder), PREFECT_API_URL=None) as process:
        assert eventually(lambda: len(processes_of(home)) > 1, 60)
        assert_refused(interrupt(process), 130, "interrupted")
    assert eventually(lambda: not processes_of(home), 15)


@pytest.mark.prefect
@needs_proc
def test_kill(training: subprocess.Popen[str], shared: Path) -> None:
    """After kill -9 of the command, its server and the process that would try the weights are gone within 15 s."""
    assert len(processes_of(shared / "home")) > 1
    training.kill()
    training.communicate()
    assert eventually(lambda: not processes_of(shared / "home"), 15)


def test_log_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """What is logged of artifacts while a command is under way, such as an ignored checkpoint, is a line on stderr."""
    logger = logging.getLogger("tasks.training.checkpoints")
    with log_on_stderr():
        logger.warning("ignored\n%s", "one")
        logger.info("goes on")
    logger.info("nobody listens")
    assert capsys.readouterr().err == "digitflow: ignored one\ndigitflow: goes on\n"
