"""What the steps reach is kept between processes, and an edit of any file makes it count no more."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from artifacts.storage.home import FINGERPRINTS

ROOT = Path(__file__).parents[3]
SCRIPT = """
import json, sys
from pathlib import Path
from artifacts.lineage import known_code, source
from artifacts.storage.store import Store

with known_code.kept_in(Store(Path(sys.argv[1]))):
    code = known_code.code_of("tasks.data.one_hot", "one_hot_encode")
print(json.dumps([code, source.is_unread()]))
"""
EDITS = {
    "the step": ("tasks/data/one_hot.py", "\nextra = 1\n"),
    "a module that it imports": ("artifacts/storage/arrays.py", "\nextra = 1\n"),
    "a module that nothing imports": ("flows/new.py", "extra = 1\n"),
    "a file that is no module": ("tasks/data/notes.txt", "extra"),
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for room in ("artifacts", "tasks", "flows"):
        shutil.copytree(ROOT / room, tmp_path / "tree" / room, ignore=shutil.ignore_patterns("home", "__pycache__"))
    return tmp_path / "tree"


@pytest.fixture(autouse=True)
def existing_home(home: Path) -> None:
    """Nothing is kept in a home that does not exist yet, since looking creates none."""
    (home / "another").mkdir(parents=True)


def read(tree: Path, home: Path) -> tuple[object, bool]:
    """The code of a step, and whether it was answered without reading the source, in a new process."""
    env = {"PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", SCRIPT, str(home)]
    code, was_kept = json.loads(subprocess.run(command, cwd=tree, env=env, check=True, capture_output=True).stdout)
    return code, was_kept


def test_what_a_run_reads_is_kept_at_its_end(tree: Path, home: Path) -> None:
    """What is read outside of a preview, as in a run, is kept at its end, unless the project was edited meanwhile."""
    script = SCRIPT.replace("one_hot", "normalise", 1).replace("one_hot_encode", "normalise_and_reshape", 1)
    late = 'known_code.code_of("tasks.data.one_hot", "one_hot_encode")\n{}\nknown_code.keep(Store(Path(sys.argv[1])))\n'
    env = {"PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    for edit, is_kept in (("pass", True), ('open("flows/new.py", "w").close()', False)):
        command = [sys.executable, "-c", script + late.format(edit), str(home / edit[:4])]
        (home / edit[:4]).mkdir()
        subprocess.run(command, cwd=tree, env=env, check=True, capture_output=True)
        assert read(tree, home / edit[:4])[1] == is_kept


def test_same_project_is_read_once(tree: Path, home: Path) -> None:
    """A second process has the same answer without reading the source."""
    code, was_kept = read(tree, home)
    assert not was_kept
    assert read(tree, home) == (code, True)


@pytest.mark.parametrize("edit", EDITS)
def test_every_edit_counts(edit: str, tree: Path, home: Path) -> None:
    """After an edit of any file, the source is read again; taken back, it has the first answer again."""
    before, _ = read(tree, home)
    path = tree / EDITS[edit][0]
    original = path.read_text() if path.exists() else None
    path.write_text((original or "") + EDITS[edit][1])
    after, was_kept = read(tree, home)
    assert not was_kept
    fresh, _ = read(tree, home / "another")
    assert after == fresh
    path.unlink() if original is None else path.write_text(original)
    assert read(tree, home)[0] == before


@pytest.mark.parametrize("damage", [b"", b"no digest", b"0" * 64 + b"\n{}"])
def test_damaged_file_counts_as_absent(damage: bytes, tree: Path, home: Path) -> None:
    """A damaged file is read over, and replaced."""
    before, _ = read(tree, home)
    (home / FINGERPRINTS).write_bytes(damage)
    assert read(tree, home) == (before, False)
    assert read(tree, home) == (before, True)


def test_flipped_byte_counts_as_absent(tree: Path, home: Path) -> None:
    """A file with one byte changed is not believed."""
    before, _ = read(tree, home)
    content = bytearray((home / FINGERPRINTS).read_bytes())
    content[-9] ^= 1
    (home / FINGERPRINTS).write_bytes(content)
    assert read(tree, home) == (before, False)
