"""Set-up: which Pythons it takes, what it says, that it can be interrupted, and that the locks are whole.

Here `make` runs a Python and a uv that only write down what they are asked to do.
"""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from PIL import Image

from tests.command import ROOT, digitflow, environment

RUN, DEV = "requirements.lock", "requirements-dev.lock"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PROGRAM = r"""#!/bin/sh
case "$*" in
    "-c "*)
        shift
        exec "$REAL" -c 'import os, sys; sys.version_info = 3, int(os.environ["MINOR"]); exec(sys.argv.pop(1))' "$@" ;;
    "--version") test -e .venv/bin/uv && echo "uv $(cat .venv/uv-version)"; exit ;;
    "-m pip --version") exit ;;
esac
echo "ran $*"
case "$* " in *" $FAIL "*) exit 1 ;; esac
case "$*" in
    "-m venv --clear .venv") rm -rf .venv; mkdir -p .venv/bin; cp "$0" .venv/bin/python ;;
    *" uv=="*) cp "$0" .venv/bin/uv; echo "$*" | sed 's/.*uv==//' >.venv/uv-version ;;
    *" sync "*"-dev.lock") touch .venv/bin/pytest ;;
    *" sync "*) rm -f .venv/bin/pytest ;;
esac
"""
REST = """
import sys
import deployments.automations, flows.experiments, flows.prediction, flows.retraining, flows.web.app
import optuna, pyarrow.csv, pyarrow.parquet
import prefect.cli.deploy, prefect.cli.server, prefect.cli.worker, prefect.workers.process, supervisor.supervisord
assert not {"pytest", "flask", "jax", "aiohttp"} & sys.modules.keys()
"""
"""What `digitflow experiment`, `digitflow predict --output`, `digitflow serve`, `make up` and `make deploy` import."""
STAGES = ["venv", "pip", "sync", "--editable", "flows.cli.preparation"]


class Clone:
    """A clone in which nothing is installed yet."""

    def __init__(self, folder: Path):
        self.folder = folder
        for name in ("Makefile", "pyproject.toml", RUN, DEV):
            shutil.copy(ROOT / name, folder)
        (folder / "python").write_text(PROGRAM)
        (folder / "python").chmod(0o755)

    def make(self, *targets: str, minor: int = 12, fail: str = "nothing") -> subprocess.CompletedProcess[str]:
        # `make test` passes its own variables on
        variables = environment(
            **dict.fromkeys(("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "MAKEOVERRIDES")),
            **{"PYTHON": "./python", "REAL": sys.executable, "MINOR": str(minor), "FAIL": fail},
        )
        command = ["make", *targets]
        return subprocess.run(command, cwd=self.folder, env=variables, capture_output=True, text=True)

    def installs(self, *targets: str) -> list[str]:
        """The locks that `make` installs, in their order."""
        made = self.make(*targets)
        assert made.returncode == 0, made.stderr
        return re.findall(r"^ran pip sync .* (\S+\.lock)$", made.stdout, re.MULTILINE)

    def change(self, name: str) -> None:
        """Make a file newer than whatever was installed from it."""
        for path in self.folder.rglob("*"):
            age = path.lstat().st_mtime_ns - 10**10
            os.utime(path, ns=(age, age), follow_symlinks=False)
        (self.folder / name).touch()


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    (tmp_path / "clone").mkdir()
    return Clone(tmp_path / "clone")


def pins(lock: str) -> dict[str, set[str]]:
    """The locked versions of each package; there are several where Pythons need different ones."""
    found: dict[str, set[str]] = {}
    for name, version in re.findall(r"^([a-z0-9][^=\s]*)==([^\s;]+)", (ROOT / lock).read_text(), re.MULTILINE):
        found.setdefault(canonicalize_name(name), set()).add(version)
    return found


@pytest.mark.parametrize("minor", [9, 10, 11, 12, 13, 14, 15])
def test_versions_of_python(minor: int, clone: Clone) -> None:
    """A Python that pyproject.toml rules out is refused in one line before anything is made; README says the same."""
    made = clone.make("setup", minor=minor)
    right = SpecifierSet(PROJECT["requires-python"]).contains(f"3.{minor}.1")
    assert (made.returncode == 0) == right == (clone.folder / ".venv").exists()
    assert right == (f"3.{minor}" in re.findall(r"Both need Python (.*) and make", (ROOT / "README.md").read_text())[0])
    if not right:
        assert made.stdout == "" and made.stderr.count("\n") == 2  # the second line is make's own
        assert re.search(rf"3\.11, 3\.12 or 3\.13, and \./python is 3\.{minor}; .* make PYTHON=", made.stderr)


@pytest.mark.parametrize(("target", "lock"), [("setup", RUN), ("setup-dev", DEV)])
def test_announcement(target: str, lock: str, clone: Clone) -> None:
    """What comes is said before it comes: how many packages at most, gigabytes and time. A second call is silent."""
    first, *rest = clone.make(target).stdout.splitlines()
    count = sum(map(len, pins(lock).values()))
    assert f"{lock}, up to {count} packages" in first and re.search(r"GB to download .* GB on disk, .*minute", first)
    assert rest[-1] == "digitflow: installed"
    assert "digitflow" not in clone.make(target).stdout


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("target", ["setup", "setup-dev"])
def test_interruption(stage: str, target: str, clone: Clone) -> None:
    """Set-up that failed in any stage, in a new clone or after an update, is not taken for done and can be repeated."""
    for _ in range(2):
        assert clone.make(target, fail=stage).returncode != 0
        assert clone.installs(target) == [DEV if "dev" in target else RUN] and clone.installs(target) == []
        if stage in STAGES[:2]:
            shutil.rmtree(clone.folder / ".venv")  # an update has no such stage
        clone.change(DEV if "dev" in target else RUN)


def test_tests_add_the_rest(clone: Clone) -> None:
    """`make test` after `make run` adds what is missing; after that, `make run` takes nothing away."""
    assert clone.installs("setup") == [RUN]
    assert clone.installs("setup-dev") == [DEV]
    assert clone.installs("setup", "setup-dev") == []
    clone.change(RUN)
    assert clone.installs("setup") == [DEV]
    assert clone.installs("setup", "setup-dev") == []
    clone.change(DEV)
    assert clone.installs("setup") == [] and clone.installs("setup-dev") == [DEV]


def test_half_a_set_up_for_tests_is_no_set_up(clone: Clone) -> None:
    """If `make test` was interrupted while it changed .venv, `make run` does not take .venv for whole."""
    assert clone.installs("setup") == [RUN]
    assert clone.make("setup-dev", fail="--editable").returncode != 0
    assert clone.installs("setup") == [DEV]


def test_another_python_is_not_ignored(clone: Clone) -> None:
    """A PYTHON other than that of .venv is refused and .venv stays; a .venv whose Python is gone is made again."""
    clone.make("setup")
    (clone.folder / ".venv/bin/python").write_text(PROGRAM.replace('os.environ["MINOR"]', "11"))
    refused = clone.make("setup", "PYTHON=./python")
    assert refused.returncode != 0 and ".venv has Python 3.11, and ./python is 3.12" in refused.stderr
    assert clone.make("setup").returncode == 0 and clone.make("setup", "PYTHON=.venv/bin/python").returncode == 0
    (clone.folder / ".venv/bin/python").unlink()
    (clone.folder / ".venv/bin/python").symlink_to("/nowhere/python3")
    assert clone.installs("setup", "PYTHON=./python") == [RUN]


@pytest.mark.parametrize("lock", [RUN, DEV])
def test_locks_are_hashed(lock: str, clone: Clone) -> None:
    """Each package of a lock has hashes, and set-up checks them. A lock names no index and no host."""
    text = (ROOT / lock).read_text()
    entries = re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE)[1:]
    assert len(entries) > 100 and all(re.search(r"--hash=sha256:[0-9a-f]{64}", entry) for entry in entries)
    assert "://" not in text and "-index" not in text
    (sync,) = re.findall(r"^ran pip sync .*$", clone.make("setup-dev" if lock == DEV else "setup").stdout, re.MULTILINE)
    assert "--require-hashes" in sync


def test_locks_agree() -> None:
    """The tests' lock has each package of the run's in the same version, and both have what pyproject.toml asks."""
    run, dev = pins(RUN), pins(DEV)
    assert run.items() <= dev.items()
    extras = [text for texts in PROJECT["optional-dependencies"].values() for text in texts]
    for lock, texts in ((run, PROJECT["dependencies"]), (dev, extras)):
        for requirement in map(Requirement, texts):
            versions = lock[canonicalize_name(requirement.name)]
            assert all(requirement.specifier.contains(version) for version in versions), requirement
    needed_by_prefect = {"fsspec", "beartype"}
    assert not {canonicalize_name(Requirement(text).name) for text in extras} & run.keys() - needed_by_prefect


def run_environment(folder: Path) -> Path:
    """An environment with those of the installed packages that are in the run's lock; returns its Python."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (site,) = folder.glob("lib/python*/site-packages")
    locked, names = pins(RUN).keys(), set[str]()
    for distribution in distributions():
        if canonicalize_name(distribution.name) in locked:
            names |= {file.parts[0] for file in distribution.files or ()} - {"..", "__pycache__"}
            installed = Path(str(distribution.locate_file("")))
    for name in names:
        (site / name).symlink_to(installed / name)
    (site / "digitflow.pth").write_text(str(ROOT))
    (folder / "share").symlink_to(Path(sys.prefix) / "share")  # what set-up has prepared
    return folder / "bin/python"


@pytest.mark.slow
def test_the_run_needs_only_its_lock(tmp_path: Path) -> None:
    """Training, prediction, experiments, the web app, server and worker need no package that only tests need."""
    python, picture = run_environment(tmp_path / "run"), tmp_path / "bar.png"
    image = Image.new("L", (28, 28))
    image.paste(255, (12, 4, 16, 24))
    image.save(picture)
    for words in (
        ("train", "--dataset", "mnist-sample", "--epochs", "1", "--min-accuracy", "0.1"),
        ("predict", picture),
    ):
        ended = digitflow(*words, command=(str(python), "-m", "flows.cli"), PYTHONPATH=None, PREFECT_API_URL=None)
        assert ended.returncode == 0, ended.stderr
    subprocess.run([python, "-c", REST], check=True)
