"""The home has one list of its folders, its locks are held by one at a time, and errors of its disk are one line."""

import ast
import errno
import os
import threading
from pathlib import Path

import pytest
from filelock import Timeout

from artifacts.errors import DigitflowError
from artifacts.storage import home as names
from artifacts.storage.home import disk_errors, is_locked, locked

ROOT = Path(__file__).parents[3]
FOLDERS = {value for name, value in vars(names).items() if name.isupper()}


def joined(tree: ast.AST) -> set[str]:
    """The names in code that stand behind a `/`, and the beginnings of texts with fields, up to the first `/`."""
    behind = [node.right for node in ast.walk(tree) if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div)]
    starts = [node.values[0] for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)]
    texts = [node.value for node in (*behind, *starts) if isinstance(node, ast.Constant)]
    return {text.rpartition("/")[0] if text.count("/") else text for text in texts if isinstance(text, str)}


def test_names_stand_once() -> None:
    """No module but `home` spells the name of a folder of the home in a path."""
    for room in ("artifacts", "tasks", "flows"):
        for path in (ROOT / room).rglob("*.py"):
            if "home" not in path.relative_to(ROOT).parts and path.name != "home.py":
                assert not joined(ast.parse(path.read_bytes())) & FOLDERS, path


def test_lock_is_held_by_one(home: Path) -> None:
    """While one thread holds a lock, another waits for it; nested use in one thread is one lock."""
    order: list[str] = []

    def other() -> None:
        with locked(home, "folder/a.lock"):
            order.append("other")

    thread = threading.Thread(target=other)
    with locked(home, "folder/a.lock"), locked(home, "folder/a.lock"):
        thread.start()
        thread.join(0.2)
        order.append("this")
    thread.join()
    assert order == ["this", "other"]


def test_held_lock_is_seen(home: Path) -> None:
    """A held lock is seen as such in the thread that holds it too, and who does not wait for it gets a Timeout."""
    assert not is_locked(home, "a.lock")
    with locked(home, "a.lock"):
        assert is_locked(home, "a.lock")
        with pytest.raises(Timeout), locked(home, "a.lock", wait=False):
            pass
    assert not is_locked(home, "a.lock")


def test_unwritable_home(tmp_path: Path) -> None:
    """A lock in a home that cannot be made is one clear error, and nobody holds it."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DigitflowError, match=r"cannot write .*DIGITFLOW_HOME"), locked(tmp_path / "file", "a.lock"):
        pass
    assert not is_locked(tmp_path / "file", "a.lock")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO, errno.EMFILE])
def test_disk_errors(number: int, tmp_path: Path) -> None:
    """An error of the disk names the home, the reason and a remedy."""
    message = rf"cannot write {tmp_path}: {os.strerror(number)}; free some space"
    with pytest.raises(DigitflowError, match=message), disk_errors(tmp_path):
        raise OSError(number, os.strerror(number))


@pytest.mark.parametrize(
    "error", [FileNotFoundError(errno.ENOENT, "no"), ConnectionResetError(errno.ECONNRESET, "no"), OSError("no errno")]
)
def test_other_errors_pass(error: OSError, tmp_path: Path) -> None:
    """A missing file, a failing network and an error without a number are raised as they are."""
    with pytest.raises(type(error)) as caught, disk_errors(tmp_path):
        raise error
    assert caught.value is error
