"""What does one module of the project define and import, and what does it do on import? Read without importing it."""

import ast
import contextlib
import copy
import importlib.util
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

ROOMS = ("artifacts", "tasks", "flows")

EFFECTS = ""
"""The name of the statements of a module that do more than define or import."""

Imports = dict[str, dict[tuple[str, str | None], None]]
"""By name; the values are ordered sets, since branches may import one name from several places."""


@dataclass
class Source:
    """The top level of a module: its definitions, its other statements, and its imports."""

    path: Path
    definitions: dict[str, list[tuple[ast.stmt, Imports]]] = field(default_factory=dict)
    """For each name, its statements without their imports from the project, and these imports."""
    imports: Imports = field(default_factory=dict)
    libraries: dict[str, str] = field(default_factory=dict)
    """For each name that an import from outside the project binds, the import."""


def read_source(module: str) -> Source | None:
    if module.split(".")[0] not in ROOMS:
        return None
    path = _path(module)
    return _parse(module, path) if path else None


def is_unread() -> bool:
    """Whether this process has read no module yet."""
    return not _parse.cache_info().currsize


@cache
def _path(module: str) -> Path | None:
    room, *rest = module.split(".")  # by path: find_spec would import what encloses the module
    spec = importlib.util.find_spec(room)
    base = Path(spec.submodule_search_locations[0], *rest) if spec and spec.submodule_search_locations else Path(room)
    return next((path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()), None)


@cache
def _parse(module: str, path: Path) -> Source:
    statements = [part for statement in _tree(path.read_bytes()).body for part in _when_imported(statement)]
    outside = list(_outside_functions(statements))
    source = Source(path, imports=_imports(module, outside), libraries=_libraries(outside))
    for statement in statements:
        inner = _imports(module, ast.walk(statement))
        _reduce(statement)
        for name in _defined(statement):
            source.definitions.setdefault(name, []).append((statement, inner))
        if _has_effect(statement, source):
            source.definitions.setdefault(EFFECTS, []).append((statement, inner))
    return source


def _tree(source: bytes) -> ast.Module:
    for _ in range(9):
        with contextlib.suppress(SystemError):  # CPython 3.11 counts depth for all threads; another thread parsed
            return ast.parse(source)
    return ast.parse(source)


def _when_imported(statement: ast.stmt) -> list[ast.stmt]:
    """The statements that run on import: of an `if` for type checkers or scripts, only its `else`."""
    if isinstance(statement, ast.If) and re.match("TYPE_CHECKING|__name__", ast.unparse(statement.test)):
        return statement.orelse
    return [statement]


def _outside_functions(nodes: Iterable[ast.AST]) -> Iterator[ast.AST]:
    for node in nodes:
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _outside_functions(filter(_holds_statements, ast.iter_child_nodes(node)))


def _holds_statements(node: ast.AST) -> bool:
    return isinstance(node, ast.stmt | ast.excepthandler | ast.match_case)


def _defined(statement: ast.AST) -> list[str]:
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [statement.name]
    if isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        return [node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)]
    return [name for part in ast.iter_child_nodes(statement) if _holds_statements(part) for name in _defined(part)]


def _has_effect(statement: ast.stmt, source: Source) -> bool:
    """Whether a statement does more than define: it may register, patch or set something."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        names = {chain[0] for item in statement.decorator_list if not _is_step(item) for chain in chains_of(item)}
        return bool(names & (source.definitions.keys() | source.imports.keys()))
    if isinstance(statement, ast.Assign):
        return any(isinstance(target, ast.Attribute | ast.Subscript) for target in statement.targets)
    is_text = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    return not is_text and not isinstance(statement, ast.AnnAssign | ast.Import | ast.ImportFrom)


def _is_step(decorator: ast.expr) -> bool:
    return ast.unparse(decorator).startswith("step(")


def _libraries(nodes: Iterable[ast.AST]) -> dict[str, str]:
    """For each name that an import from outside the project binds, the import as a statement."""
    imports = {}
    for node in nodes:
        if isinstance(node, ast.Import | ast.ImportFrom) and not _is_ours(node):
            for alias in node.names:
                start = f"from {node.module} " if isinstance(node, ast.ImportFrom) else ""
                imports[alias.asname or alias.name.split(".")[0]] = f"{start}import {ast.unparse(alias)}"
    return imports


def _is_ours(node: ast.AST) -> bool:
    """Whether a node is an import from the project."""
    if isinstance(node, ast.ImportFrom):
        return bool(node.level) or (node.module or "").split(".")[0] in ROOMS
    return isinstance(node, ast.Import) and all(alias.name.split(".")[0] in ROOMS for alias in node.names)


def _imports(module: str, nodes: Iterable[ast.AST]) -> Imports:
    """For each name that an import from the project binds, the module and, if it has one, the name in it."""
    imports: Imports = {}
    for node in nodes:
        if isinstance(node, ast.ImportFrom):
            enclosing = module.split(".")[: -node.level] if node.level else []
            source = ".".join([*enclosing, *([node.module] if node.module else [])])
            if source.split(".")[0] in ROOMS:
                pairs = [(alias.asname or alias.name, alias.name) for alias in node.names]
                for known_as, name in _public(source) if pairs[0][1] == "*" else pairs:
                    imports.setdefault(known_as, {})[source, name] = None
        elif isinstance(node, ast.Import):
            for alias in node.names:
                room = alias.name.split(".")[0]
                if room in ROOMS:
                    imports.setdefault(alias.asname or room, {})[alias.name if alias.asname else room, None] = None
    return imports


def _public(module: str) -> list[tuple[str, str]]:
    """The names that `import *` takes from a module, as pairs of the name here and there."""
    source = read_source(module)
    names = [*source.definitions, *source.imports] if source else []
    return [(name, name) for name in names if name and not name.startswith("_")]


def chains_of(node: ast.AST) -> Iterator[tuple[str, ...]]:
    """Each chain of names that is read, in full length: `a`, `a.b`, `a.b.c`."""
    chain: list[str] = []
    inner = node
    while isinstance(inner, ast.Attribute):
        chain.append(inner.attr)
        inner = inner.value
    if isinstance(inner, ast.Name):
        yield (inner.id, *reversed(chain))
    else:
        for part in ast.iter_child_nodes(inner):
            yield from chains_of(part)


def _reduce(node: ast.stmt) -> None:
    """Strip what does not count: docstrings, imports from the project, annotations outside classes."""
    if isinstance(node, ast.AnnAssign):
        node.annotation = ast.Name("object")
    for item in ast.walk(node):
        for statements in (getattr(item, name, None) for name in ("body", "orelse", "finalbody")):
            if isinstance(statements, list) and any(map(_is_ours, statements)):
                statements[:] = [s for s in statements if not _is_ours(s)] or [ast.Pass()]
        if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef):
            item.returns = None
            arguments = item.args
            named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
            for argument in filter(None, named):
                argument.annotation = None
        if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            is_text = [isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant) for s in item.body]
            item.body = [s for s, text in zip(item.body, is_text, strict=True) if not text] or [ast.Pass()]


def without_step(node: ast.stmt) -> ast.stmt:
    if not isinstance(node, ast.FunctionDef):
        return node
    node = copy.copy(node)
    node.decorator_list = [item for item in node.decorator_list if not _is_step(item)]
    return node
