"""A fingerprint changes with the code that decides a result, and with nothing else."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
SCRIPT = """
import json, sys
from artifacts.lineage.fingerprint import bindings, fingerprint

read = bindings if sys.argv[1] == "bindings" else fingerprint
prints = {task: read(*task.rsplit(".", 1)) for task in sys.argv[2:]}
assert not {"keras", "tensorflow", "prefect", "numpy", "tasks"} & set(sys.modules)
print(json.dumps(prints))
"""
NORMALISE = "tasks.data.normalise.normalise_and_reshape"
TASKS = (
    "tasks.data.download.download",
    "tasks.data.reader.read.read",
    "tasks.data.validate.validate",
    NORMALISE,
    "tasks.data.one_hot.one_hot_encode",
    "tasks.training.train.train",
    "tasks.evaluation.evaluate.evaluate",
    "tasks.evaluation.check_gate.check_gate",
    "tasks.evaluation.save_weights.save_weights",
    "tasks.reporting.report.report",
)
Prints = dict[str, dict[str, str]]


def fingerprints(tree: Path) -> Prints:
    """The fingerprints of all tasks of the code in `tree`, taken by a new process that imports none of them."""
    prints: Prints = printed("fingerprint", tree, *TASKS)
    return prints


def printed(what: str, tree: Path, *functions: str) -> Any:
    command = [sys.executable, "-c", SCRIPT, what, *functions]
    env = {"PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    return json.loads(subprocess.run(command, cwd=tree, env=env, check=True, capture_output=True).stdout)


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the code, which others may edit while the tests run."""
    tree = tmp_path_factory.mktemp("pristine")
    for room in ("artifacts", "tasks", "flows"):
        shutil.copytree(ROOT / room, tree / room, ignore=shutil.ignore_patterns("home", "__pycache__"))
    return tree


@pytest.fixture(scope="module")
def before(pristine: Path) -> Prints:
    return fingerprints(pristine)


@pytest.fixture(scope="module")
def bound(pristine: Path) -> Any:
    return printed("bindings", pristine, *TASKS)


@pytest.fixture
def tree(pristine: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(pristine, tmp_path / "tree"))


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("    return images[...,", "    # why\n\n    return (images)[...,"),
        ('"""Map uint8 pixels', '"""Send uint8 pixels'),
        ("(images: RawImages) -> Images", "(images)"),
        ('@step("normalise-and-reshape", shaped_by=("numpy",))', '@step("renamed")'),
        ("import numpy as np\n", "import os\n\nimport numpy as np\n\n\ndef unused() -> None: ...\n"),
    ],
)
def test_harmless_edits_keep_it(old: str, new: str, tree: Path, before: Prints, bound: Any) -> None:
    """Comments, layout, docstrings, annotations, a task's own `@step` and code that it does not reach do not count."""
    task, helper = tree / "tasks/data/normalise.py", tree / "tasks/data/images.py"
    edit(task if old in task.read_text() else helper, old, new)
    assert fingerprints(tree) == before
    assert printed("bindings", tree, *TASKS) == bound


@pytest.mark.parametrize(
    ("file", "old", "new", "definition", "tasks"),
    [
        (
            "tasks/model/layer_sizes.py",
            "len(values) - 1)]",
            "len(values) - 2)]",
            "tasks.model.layer_sizes:at",
            "train evaluate save_weights",
        ),
        ("tasks/training/fit.py", "PROBE = 5000", "PROBE = 4000", "tasks.training.fit:PROBE", "train"),
        (
            "tasks/data/images.py",
            "np.float32(0.5)",
            "np.float32(0)",
            "tasks.data.images:rescale",
            "normalise_and_reshape save_weights",
        ),
        (
            "artifacts/storage/arrays.py",
            "CHUNK = 8192",
            "CHUNK = 1",
            "artifacts.storage.arrays:CHUNK",
            "download read validate normalise_and_reshape one_hot_encode",
        ),
        (
            "tasks/data/datasets.py",
            "    train: Ref\n",
            "    train: Ref | None\n",
            "tasks.data.datasets:Pair",
            "normalise_and_reshape one_hot_encode",
        ),
        ("tasks/reporting/report.html.j2", "<h2>Data", "<h2>The data", "tasks.reporting.page:report.html.j2", "report"),
    ],
)
def test_edits_change_what_reaches_them(
    file: str, old: str, new: str, definition: str, tasks: str, tree: Path, before: Prints
) -> None:
    """An edit changes exactly the tasks that reach it, however deep, and in them exactly what was edited."""
    edit(tree / file, old, new)
    after = fingerprints(tree)
    changed = {task: {name for name in before[task] if before[task][name] != after[task].get(name)} for task in TASKS}
    assert {task.split(".")[-1]: names for task, names in changed.items() if names} == {
        task: {definition} for task in tasks.split()
    }


def test_new_helpers_are_reached(tree: Path, before: Prints) -> None:
    """What a task newly calls, in a new module and by an import inside a function, is in its fingerprint."""
    (tree / "artifacts/extra.py").write_text("def shift(x):\n    return _by(x)\n\ndef _by(x):\n    return x + 1\n")
    line = "    raw = store.get(images)\n"
    edit(tree / "tasks/data/normalise.py", line, f"    import artifacts.extra as extra\n\n{line}    extra.shift(1)\n")
    after = printed("fingerprint", tree, NORMALISE)[NORMALISE]
    assert after.keys() - before[NORMALISE].keys() == {"artifacts.extra:shift", "artifacts.extra:_by"}


def by_name(prints: dict[str, str]) -> list[tuple[str, str]]:
    return sorted((place.partition(":")[2], digest) for place, digest in prints.items())


def test_moved_code_counts_the_same(tree: Path, before: Prints, bound: Any) -> None:
    """After a move, digests are the same by name; only the places differ."""
    (tree / "tasks/data/images.py").rename(tree / "artifacts/elsewhere.py")
    for path in tree.rglob("*.py"):
        path.write_text(path.read_text().replace("from tasks.data.images import", "from artifacts.elsewhere import"))
    after = fingerprints(tree)
    assert after != before and printed("bindings", tree, *TASKS) == bound
    assert [by_name(after[task]) for task in TASKS] == [by_name(before[task]) for task in TASKS]


MODULES = {
    "root": "from tasks import m as p, n as q\ndef root():\n    return p.f(1) - q.f(1)\n",
    "m": "K = 1\ndef f(x):\n    return x + K\n",
    "n": "K = 2\ndef f(x):\n    return x * K\n",
}


@pytest.mark.parametrize(
    "swaps",
    [
        {"root": ("m as p, n as q", "n as p, m as q")},
        {"m": ("x + K", "x * K"), "n": ("x * K", "x + K")},
        {"m": ("K = 1", "K = 2"), "n": ("K = 2", "K = 1")},
    ],
)
def test_swapped_definitions_count(swaps: dict[str, tuple[str, str]], tmp_path: Path) -> None:
    """Definitions that swap names or bodies, or what they use, change the bindings, though the same code is reached."""
    after = MODULES | {name: MODULES[name].replace(*swap) for name, swap in swaps.items()}
    seen = []
    for modules in (MODULES, after):
        tree = tmp_path / str(len(seen))
        shutil.copytree(ROOT / "artifacts", tree / "artifacts", ignore=shutil.ignore_patterns("home", "__pycache__"))
        (tree / "tasks").mkdir()
        (tree / "tasks/__init__.py").touch()  # a folder without it is looked for last
        for name, text in modules.items():
            (tree / f"tasks/{name}.py").write_text(text)
        (print_,) = printed("fingerprint", tree, "tasks.root.root").values()
        (bound,) = printed("bindings", tree, "tasks.root.root").values()
        seen.append((by_name(print_), bound))
    assert seen[0][0] == seen[1][0] and seen[0][1] != seen[1][1]


@pytest.mark.parametrize("inside", [False, True])
def test_library_imports_count(inside: bool, tree: Path) -> None:
    """The import of a library's name is part of the code that uses the name, wherever it is imported."""
    prints = []
    for source in ("sort", "flip"):
        shutil.copy(ROOT / "tasks/data/images.py", tree / "tasks/data/images.py")
        line, body = f"from numpy import {source} as order\n", "    return images[...,"
        edit(tree / "tasks/data/images.py", body, f"{f'    {line}' * inside}    order(images)\n{body}")
        edit(tree / "tasks/data/images.py", "MAX_PIXELS = 1 << 26\n", f"MAX_PIXELS = 1 << 26\n{line * (not inside)}")
        prints.append(printed("fingerprint", tree, NORMALISE))
    assert prints[0] != prints[1]


def test_unrelated_files_do_not_count(tree: Path, before: Prints) -> None:
    """Files that no task reaches may change, come or go."""
    (tree / "flows/cli/output.py").unlink()
    (tree / "artifacts/new.py").write_text("CHUNK = 1")
    edit(tree / "artifacts/storage/settings.py", "DIGITFLOW_", "OTHER_")
    assert fingerprints(tree) == before


def test_roots_come_first(before: Prints) -> None:
    """The first definition of a fingerprint is the task itself, by which a manifest names it."""
    assert [next(iter(before[task])) for task in TASKS] == [":".join(task.rsplit(".", 1)) for task in TASKS]


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("tasks/model/keras_setup.py", "\nkeras.config.set_floatx('float64')\n"),
        ("tasks/model/keras_setup.py", "\nif os.name:\n    keras.config.set_floatx('float64')\n"),
    ],
)
def test_what_a_module_does_counts(file: str, text: str, tree: Path, before: Prints) -> None:
    """What a module does on import is part of every task that reaches the module, and of no other."""
    (tree / file).write_text((tree / file).read_text() + text)
    after = fingerprints(tree)
    changed = {task.split(".")[-1] for task in TASKS if before[task] != after[task]}
    assert changed == {"train", "evaluate", "save_weights"}


BY = "def by(x):\n    return x + {}\n"


@pytest.mark.parametrize(
    ("extra", "top", "use"),
    [
        (BY, "", "from ._extra import by; by(1)"),
        (f"if True:\n    {BY}".replace("\n    return", "\n        return"), "", "from ._extra import by; by(1)"),
        (BY, "from tasks.data._extra import *\n", "by(1)"),
        (
            BY,
            "try:\n    from tasks.data._extra import by\nexcept ImportError:\n    from math import exp as by\n",
            "by(1)",
        ),
        (
            BY,
            "if MAX_PIXELS:\n    from tasks.data._extra import by\n"
            "else:\n    from artifacts.storage.arrays import chunks as by\n",
            "by(1)",
        ),
        (BY, "import tasks.data._extra as extra\nmodule = extra\n", "module.by(1)"),
        (BY, "", "import tasks.data._extra as extra; getattr(extra, 'b' + 'y')(1)"),
        (
            f"ALL = {{{{}}}}\ndef add(f):\n    ALL[0] = f\n@add\n{BY}",
            "",
            "from tasks.data._extra import ALL; ALL[0](1)",
        ),
        ("import os\nos.environ['X'] = '{}'\nK = 1\n", "from tasks.data._extra import K\n", "K"),
        ("import tasks.data.idx\ntasks.data.idx.DTYPES = {}\nK = 1\n", "", "from tasks.data._extra import K; K"),
        ("if __name__ == '__main__':\n    K = 0\nelse:\n    K = {}\n", "", "from tasks.data._extra import K; K"),
    ],
)
def test_whatever_way_a_helper_is_reached(extra: str, top: str, use: str, tree: Path) -> None:
    """A helper counts in whatever way it is defined, imported or registered, and so does what its module sets."""
    edit(tree / "tasks/data/images.py", "    return images[...,", f"    {use}\n    return images[...,")
    edit(tree / "tasks/data/images.py", "MAX_PIXELS = 1 << 26\n", f"MAX_PIXELS = 1 << 26\n{top}")
    prints = []
    for number in (1, 2):
        (tree / "tasks/data/_extra.py").write_text(extra.format(number))
        prints.append(printed("fingerprint", tree, NORMALISE))
    assert prints[0] != prints[1]


def test_decorators_below_step_count(tree: Path, before: Prints) -> None:
    """A decorator between a task and its `@step` is part of the task."""
    task = tree / "tasks/data/one_hot.py"
    edit(
        task,
        '@step("one-hot-encode", shaped_by=("numpy",))\n',
        '@step("one-hot-encode", shaped_by=("numpy",))\n@halved\n',
    )
    edit(task, "@step(", "def halved(f):\n    return functools.wraps(f)(lambda *a: f(*a) / 2)\n\n\n@step(")
    assert "tasks.data.one_hot:halved" in fingerprints(tree)["tasks.data.one_hot.one_hot_encode"]
