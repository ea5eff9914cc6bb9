"""The layout: imports point one way, nothing happens on import, and what the README says to type exists."""

import ast
import re
import shlex
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

from artifacts.storage.settings import Settings
from flows.cli.app import app
from tests.command import ROOT, environment

ORDER = (
    *("artifacts", "artifacts.storage", "artifacts.lineage", "tasks", "tasks.data", "tasks.data.reader"),
    *("tasks.data.inspection", "tasks.pictures", "tasks.model", "tasks.training", "tasks.evaluation"),
    *("tasks.reporting", "tasks.registry", "tasks.experiments", "tasks.monitoring", "tasks.prediction"),
    *("tasks.retraining.incoming", "tasks.retraining.judgement", "tasks.retraining"),
    *("flows.web", "flows", "flows.cli", "deployments"),
)
"""A module imports from its own folder and from those before it."""
PARTS = re.compile(r"\.(checks|publication|verbs)$")
"""Folders that count as the one which they are in."""
PATHS = [
    path
    for room in ("artifacts", "tasks", "flows", "deployments")
    for path in (ROOT / room).rglob("*.py")
    if "home" not in path.relative_to(ROOT).parts  # models that were trained here bring their code
]
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts): ast.parse(path.read_bytes())
    for path in sorted(PATHS)
    if path.stem not in ("__init__", "__main__")
}
HEAVY = {"keras", "tensorflow"}
KERAS_IS_LOADED_BY = ("tasks.model.keras_setup", "tasks.model.fused", "tasks.model.augmentation", "tasks.model.network")


def folder(module: str) -> str:
    return module.rpartition(".")[0]


def imports(node: ast.AST) -> Iterator[str]:
    """The modules that the code imports, inside functions and for type checkers too."""
    for item in ast.walk(node):
        if isinstance(item, ast.ImportFrom):
            names = [f"{item.module}.{alias.name}" for alias in item.names]
            yield from (name if name in MODULES else str(item.module) for name in names)
        elif isinstance(item, ast.Import):
            yield from (alias.name for alias in item.names)


def imports_at_once(tree: ast.Module) -> Iterator[str]:
    """The modules that are imported when this one is; not those that only a type checker sees."""
    for statement in tree.body:
        is_typing = isinstance(statement, ast.If) and ast.unparse(statement.test) == "TYPE_CHECKING"
        if not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef) and not is_typing:
            yield from imports(statement)


GRAPH = {module: {name for name in imports(tree) if name in MODULES} for module, tree in MODULES.items()}
LIBRARIES = {module: {name.partition(".")[0] for name in imports(tree)} for module, tree in MODULES.items()}


def test_imports_point_one_way() -> None:
    """A module imports from its own folder and those before it, and no import leads back to where it began."""
    places = {module: ORDER.index(PARTS.sub("", folder(module))) for module in MODULES}
    assert not [(a, b) for a, names in GRAPH.items() for b in names if places[b] > places[a]]
    TopologicalSorter(GRAPH).prepare()  # raises CycleError


def test_few_modules_know_prefect_and_keras() -> None:
    """Prefect runs the steps, and only flows and what turns a step into a Prefect task know it. Keras is for models."""
    for module, libraries in LIBRARIES.items():
        knows = module == "tasks.prefect_tasks" or re.match(r"flows\.(?!web)|deployments", module)
        assert "prefect" not in libraries or knows, module
        assert not HEAVY & libraries or folder(module) in ("tasks.model", "tasks.training", "tasks.experiments"), module


def test_folders_can_be_overlooked() -> None:
    """A folder has at most ten modules, and what it answers is its docstring."""
    assert max(Counter(map(folder, MODULES)).values()) <= 10
    for path in {path.parent / "__init__.py" for path in PATHS}:
        (question,) = ast.parse(path.read_bytes()).body
        assert isinstance(question, ast.Expr), path


def test_keras_is_imported_late() -> None:
    """Only tasks.model.keras_setup imports Keras at once, only what describes networks imports that one, and no module
    imports those."""
    for module, tree in MODULES.items():
        names = set(imports_at_once(tree))
        allowed = KERAS_IS_LOADED_BY[: KERAS_IS_LOADED_BY.index(module)] if module in KERAS_IS_LOADED_BY else ()
        assert not names & set(KERAS_IS_LOADED_BY) - set(allowed), module
        assert module == KERAS_IS_LOADED_BY[0] or not HEAVY & {name.partition(".")[0] for name in names}, module


def test_nothing_happens_on_import(tmp_path: Path) -> None:
    """Importing every module prints nothing and makes no file; only those that import Keras load TensorFlow."""
    working, home = tmp_path / "working", tmp_path / "home"
    working.mkdir()
    light = [module for module in MODULES if module not in KERAS_IS_LOADED_BY]
    script = f"import {', '.join(light)}, sys; assert not {HEAVY} & {{*sys.modules}}; import tasks.model.network"
    variables = {"DIGITFLOW_HOME": str(home), "PREFECT_HOME": str(tmp_path / "prefect"), "PYTHONPATH": str(ROOT)}
    run = subprocess.run(
        [sys.executable, "-c", script], cwd=working, env=environment(**variables), capture_output=True, text=True
    )
    assert (run.returncode, run.stdout) == (0, ""), run.stderr
    assert not list(working.iterdir()) and not home.exists()


PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/*.md"), ROOT / "deployments/README.md"]


def typed(program: str) -> list[list[str]]:
    """The arguments of each command line for `program` in the fenced code of README and docs."""
    blocks = [
        b for page in PAGES for b in re.findall(r"^```\w*\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    ]
    lines = [
        shlex.split(line.removeprefix("$ ").rpartition("| ")[2], comments=True)
        for block in blocks
        for line in block.splitlines()
        if re.match(rf"(\$ )?(.*\| )?(\.venv/bin/)?{program}\b", line)
    ]
    return [words[1:] for words in lines]


def test_digitflow_commands_of_the_docs_exist() -> None:
    """Each `digitflow` line of README and docs is understood: verbs, options and their values."""
    lines = typed("digitflow")
    assert {"train", "predict", "experiment", "models"} <= {line[0] for line in lines}
    for line in lines:
        app.parse_args(line, exit_on_error=False, print_error=False)


def test_make_targets_of_the_docs_exist() -> None:
    """Each `make` line of README and docs names a target of the Makefile."""
    lines = typed("make")
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert {"run", "test"} <= {line[0] for line in lines} <= set(targets)


def test_links_of_the_docs_lead_somewhere() -> None:
    """Each relative link of README and docs leads to a file, and to a heading of it where it names one."""
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?://)([^)]+)\)", page.read_text()):
            path, _, anchor = target.partition("#")
            file = (page.parent / path).resolve() if path else page
            assert file.exists(), (page.name, target)
            headings = re.findall(r"^#+ (.+)$", file.read_text(), re.MULTILINE) if anchor else []
            assert not anchor or anchor in {re.sub(r"[^a-z0-9]+", "-", h.lower()).strip("-") for h in headings}, target


def test_settings_are_documented_once() -> None:
    """Each setting has one row in a table of the docs."""
    row = re.compile(r"^\| (?:`\w+`, )?`(DIGITFLOW_\w+)`", re.MULTILINE)
    rows = [name for page in PAGES for name in row.findall(page.read_text())]
    settings = [f"DIGITFLOW_{field.upper()}" for field in Settings.model_fields]
    assert [name for name in settings if rows.count(name) != 1] == []


def test_readme_is_short() -> None:
    """The first page has at most 900 words; the rest is in docs/."""
    assert len((ROOT / "README.md").read_text().split()) <= 900
