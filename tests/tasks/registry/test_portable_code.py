"""The code that travels with a logged model is complete, and hides nothing."""

import subprocess
import sys
from pathlib import Path

from tasks.registry.portable_code import write_package
from tests.command import environment


def test_package_stands_alone(tmp_path: Path) -> None:
    """The package is imported where no room of ours can be, and no module of it imports one."""
    name = write_package("tasks.pictures.model_input", tmp_path)
    script = (
        f"import sys, importlib; importlib.import_module({name!r}).to_model_input; "
        "assert not {'artifacts', 'tasks', 'flows'} & {name.partition('.')[0] for name in sys.modules}"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=tmp_path, env=environment(PYTHONPATH=None))


def test_name_is_its_content(tmp_path: Path) -> None:
    """The same code has the same name; another module's code has another."""
    names = [
        write_package(module, tmp_path) for module in ("tasks.pictures.shapes", "tasks.pictures.paper") for _ in "ab"
    ]
    first, second, third, fourth = (name.partition(".")[0] for name in names)
    assert first == second != third == fourth
