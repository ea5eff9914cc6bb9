"""`explain-cache` agrees with what the next run really does, whatever was edited."""

import ast
import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from artifacts.lineage.cache_key import StepCall
from artifacts.lineage.manifest import Run, StepRecord
from artifacts.storage.settings import Settings
from flows.plan import Plan
from flows.preview import preview
from tasks.evaluation.gate import Gate
from tasks.model.hyperparameters import Overrides

ROOT = Path(__file__).parents[2]
EDITS = 5


@pytest.mark.prefect
def test_random_edits(api: str, digits_folder: Path, tmp_path: Path) -> None:
    """After each random edit, a previewed hit is cached, a previewed miss is computed, and a remark changes nothing."""
    tree, chance = tmp_path / "tree", random.Random(20190808)
    for room in ("artifacts", "tasks", "flows"):
        shutil.copytree(ROOT / room, tree / room, ignore=shutil.ignore_patterns("home", "__pycache__"))
    _preview_and_run(tree, digits_folder)
    computed = 0
    for number in range(EDITS):
        edit = _edit(tree, chance, number)
        previewed, cached = _preview_and_run(tree, digits_folder)
        for step, was_cached in cached.items():
            assert {"hit": True, "miss": False, "depends": was_cached}[previewed[step]] == was_cached, (edit, step)
        assert not edit.startswith("remark") or all(cached.values()), edit
        computed += list(cached.values()).count(False)
    assert computed, "no edit reached any step"


def test_a_step_is_compared_with_those_of_its_data_set(digits_folder: Path, home: Path) -> None:
    """What changed is told against runs of the same data set; only if there are none, against those of others."""
    settings = Settings.load()
    plan = Plan.of(str(digits_folder), "tutorial", 0, hyperparameters=Overrides(), gate=Gate(), settings=settings)

    def reasons() -> str:
        return " ".join(preview(plan, settings)[0].reasons)

    def record(dataset: str, **inputs: int) -> None:
        fields = {"recipe": "tutorial", "seed": 0, "hyperparameters": {}, "gate": {}}
        with Run.recording(settings.artifacts, run=f"20260101-{dataset}", dataset=dataset, **fields) as run:
            call = StepCall(task="read", inputs=inputs, code={}, libraries={})
            run.manifest.steps.append(StepRecord(name="read", cached=False, seconds=0, key="0", call=call, result={}))
            run.finish("passed")

    assert reasons() == "it has not run before"
    record("others", one=1)
    assert "input one: 1" in reasons()
    record(plan.source.name, two=2, three=3)
    assert "input two: 2" in reasons() and "input one" not in reasons()


def _preview_and_run(tree: Path, folder: Path) -> tuple[dict[str, str], dict[str, bool]]:
    finished = subprocess.run(
        [sys.executable, ROOT / "tests/flows/preview_and_run.py", folder],
        env=os.environ | {"PYTHONPATH": str(tree)},
        cwd=tree,
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr[-2000:]
    answer = json.loads(finished.stdout)
    return answer["previewed"], answer["cached"]


def _edit(tree: Path, chance: random.Random, number: int) -> str:
    """Put a remark or a statement into a random function; return which."""
    path = chance.choice([p for room in ("artifacts", "tasks") for p in sorted((tree / room).rglob("[a-z]*.py"))])
    lines = path.read_text().splitlines(keepends=True)
    functions = [
        node
        for node in ast.walk(ast.parse("".join(lines)))
        if isinstance(node, ast.FunctionDef) and not lines[node.body[0].lineno - 1][: node.body[0].col_offset].strip()
    ]  # not those whose body is on the line of their head
    if not functions:
        return _edit(tree, chance, number)
    function = chance.choice(functions)
    has_docstring = ast.get_docstring(function) is not None
    first = function.body[1 if has_docstring and len(function.body) > 1 else 0]
    kind = chance.choice(["remark", "statement", "statement"])
    new = f"# remark {number}\n" if kind == "remark" else f"_edit = {number}\n"
    lines.insert(first.lineno - 1, " " * first.col_offset + new)
    path.write_text("".join(lines))
    return f"{kind} in {path.relative_to(tree)}:{function.name}"
