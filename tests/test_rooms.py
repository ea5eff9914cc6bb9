"""The rooms: imports point one way, nothing happens on import, and what the README says to type exists."""

import ast
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.cli import app
from tests.command import ROOT, environment

ROOMS = ("artifacts", "tasks", "flows", "deployments")
HEAVY = {"keras", "tensorflow"}
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts): ast.parse(path.read_bytes())
    for room in ROOMS
    for path in sorted((ROOT / room).glob("**/*.py"))
    if path.name != "__init__.py" and "home" not in path.parts
}


def imports(node: ast.AST) -> Iterator[str]:
    """The modules that the code imports, inside functions too."""
    for item in ast.walk(node):
        if isinstance(item, ast.ImportFrom):
            yield from (f"{item.module}.{alias.name}" for alias in item.names)
        elif isinstance(item, ast.Import):
            yield from (alias.name for alias in item.names)


def imports_at_once(tree: ast.Module) -> Iterator[str]:
    """The modules that are imported when this one is; not those that only a type checker sees."""
    for statement in tree.body:
        is_typing = isinstance(statement, ast.If) and ast.unparse(statement.test) == "TYPE_CHECKING"
        if not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef) and not is_typing:
            yield from imports(statement)


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_one_way(module: str) -> None:
    """A module imports from its own room and those before it, in the order artifacts, tasks, flows, deployments."""
    later = (*ROOMS[ROOMS.index(module.split(".")[0]) + 1 :], "tests")
    assert not [name for name in imports(MODULES[module]) if name.split(".")[0] in later]


def test_artifacts_know_no_prefect() -> None:
    """What exists does without an orchestrator."""
    for module, tree in MODULES.items():
        assert not module.startswith("artifacts.") or "prefect" not in {name.split(".")[0] for name in imports(tree)}


def test_keras_is_imported_late() -> None:
    """Only artifacts.backend imports Keras at once, only artifacts.network that one, and no module that one."""
    for module, tree in MODULES.items():
        names = set(imports_at_once(tree))
        assert module == "artifacts.backend" or not HEAVY & {name.split(".")[0] for name in names}, module
        assert module == "artifacts.network" or not any(name.startswith("artifacts.backend") for name in names), module
        assert not any(name.startswith("artifacts.network") for name in names), module


def test_tasks_do_not_know_each_other() -> None:
    """A step imports no other step; all share the cache policy."""
    for module, tree in MODULES.items():
        if module.startswith("tasks."):
            others = {name for name in imports(tree) if name.startswith("tasks.")}
            assert all(name.startswith("tasks.caching.") for name in others), module


def test_nothing_happens_on_import(tmp_path: Path) -> None:
    """Importing every module prints nothing and makes no file; only the two that import Keras load TensorFlow."""
    working, home = tmp_path / "working", tmp_path / "home"
    working.mkdir()
    light = [module for module in MODULES if module not in ("artifacts.backend", "artifacts.network")]
    script = f"import {', '.join(light)}, sys; assert not {HEAVY} & {{*sys.modules}}; import artifacts.network"
    variables = {"DIGITFLOW_HOME": str(home), "PREFECT_HOME": str(tmp_path / "prefect"), "PYTHONPATH": str(ROOT)}
    run = subprocess.run(
        [sys.executable, "-c", script], cwd=working, env=environment(**variables), capture_output=True, text=True
    )
    assert (run.returncode, run.stdout) == (0, ""), run.stderr
    assert not list(working.iterdir()) and not home.exists()


def typed_in_readme(program: str) -> list[list[str]]:
    """The arguments of each command line for `program` in the README's fenced code."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    lines = [
        shlex.split(line.removeprefix("$ "), comments=True)
        for block in blocks
        for line in block.splitlines()
        if re.match(rf"(\$ )?(\.venv/bin/)?{program}\b", line)
    ]
    return [words[1:] for words in lines]


def test_readme_digitflow_commands_exist() -> None:
    """Each `digitflow` line of the README is understood: verbs, options and their values."""
    lines = typed_in_readme("digitflow")
    assert ["train"] in [line[:1] for line in lines]
    for line in lines:
        app.parse_args(line, exit_on_error=False, print_error=False)


def test_readme_make_targets_exist() -> None:
    """Each `make` line of the README names a target of the Makefile."""
    lines = typed_in_readme("make")
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert {"run", "test"} <= {line[0] for line in lines} <= set(targets)
