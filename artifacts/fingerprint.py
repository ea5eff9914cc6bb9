"""Which project code a function's result depends on, read from the source without importing it."""

import ast
import copy
import hashlib
import importlib.util
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

ROOMS = ("artifacts", "tasks", "flows")

_EFFECTS = ""
"""Name of what a module does when it is imported, besides defining and importing."""


@cache
def fingerprint(module: str, function: str) -> dict[str, str]:
    """Map each definition that `function` reaches, as "module:name", to a digest of its code.

    Reached is what is named, transitively, inside the project: functions, classes, constants, also
    through imports inside functions, files beside a module, such as templates, and what a module does when it
    is imported, as "module:". Comments, docstrings,
    layout and the annotations of functions and module variables do not count; neither does `@step` on `function` itself,
    which says how to run it. Read once a process: what is imported does not change when its file does.
    """
    digests, named = _look(module, function, is_root=True)
    found, seen, leads = dict(digests), {(module, function)}, list(named)
    while leads:
        lead = leads.pop()
        if lead not in seen:
            seen.add(lead)
            digests, named = _look(*lead)
            found |= digests
            leads += named
    return found


@cache
def _look(module: str, name: str, is_root: bool = False) -> tuple[dict[str, str], tuple[tuple[str, str], ...]]:
    """The digests of one definition and of the files that it names, and the definitions that it names."""
    source = _source(module)
    if source is None:
        return {}, ()
    leads = {(module, _EFFECTS)} if _EFFECTS in source.definitions else set()
    if name not in source.definitions:
        return {}, (*leads, *_target(source.imports.get(name), ()))
    nodes = [_essence(node, is_root) for node in source.definitions[name]]
    digests = {f"{module}:{name}": hashlib.sha256("\n".join(map(ast.unparse, nodes)).encode()).hexdigest()}
    for node in nodes:
        imports = source.imports | _imports(module, node)
        for first, *attributes in _names(node):
            leads |= {*_target(imports[first], tuple(attributes))} if first in imports else {(module, first)}
        digests |= _files(module, source.path.parent, node)
    return digests, tuple(leads)


def _target(imported: tuple[str, str | None] | None, attributes: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """The definition, if any, behind an import and what is read of it."""
    module, name = imported or ("", None)
    path = [*([name] if name else []), *attributes]
    while path and _source(f"{module}.{path[0]}") is not None:
        module = f"{module}.{path.pop(0)}"
    if path:
        yield module, path[0]


def _files(module: str, folder: Path, node: ast.AST) -> dict[str, str]:
    """Digests of the files in `folder` that texts in `node` name."""
    texts = {item.value for item in ast.walk(node) if isinstance(item, ast.Constant) and isinstance(item.value, str)}
    files = [folder / text for text in sorted(texts) if re.fullmatch(r"[\w-]{1,99}(\.[\w-]{1,20}){1,3}", text)]
    return {f"{module}:{file.name}": hashlib.sha256(file.read_bytes()).hexdigest() for file in files if file.is_file()}


@dataclass
class _Source:
    """The top level of one module: what it defines, what else it does, and what it imports from the project."""

    path: Path
    definitions: dict[str, list[ast.stmt]] = field(default_factory=dict)
    imports: dict[str, tuple[str, str | None]] = field(default_factory=dict)


def _source(module: str) -> _Source | None:
    if module.split(".")[0] not in ROOMS:
        return None
    path = _path(module)
    return _parse(module, path) if path else None


@cache
def _path(module: str) -> Path | None:
    room, *rest = module.split(".")  # by path: find_spec would import what encloses the module
    spec = importlib.util.find_spec(room)
    base = Path(spec.submodule_search_locations[0], *rest) if spec and spec.submodule_search_locations else Path(room)
    return next((path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()), None)


@cache
def _parse(module: str, path: Path) -> _Source:
    tree = ast.parse(path.read_bytes())
    source = _Source(path, imports=_imports(module, tree))
    for statement in filter(_is_imported, tree.body):
        for name in _defined(statement):
            source.definitions.setdefault(name, []).append(statement)
        if _has_effect(statement):
            source.definitions.setdefault(_EFFECTS, []).append(statement)
    return source


def _defined(statement: ast.stmt) -> list[str]:
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [statement.name]
    if isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        return [node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)]
    inside = [part for part in ast.iter_child_nodes(statement) if isinstance(part, ast.stmt | ast.excepthandler)]
    return [name for part in inside for name in _defined(part)]  # type: ignore[arg-type]


def _is_imported(statement: ast.stmt) -> bool:
    """Whether a statement takes part when its module is imported, not only when it is run or type-checked."""
    return not (isinstance(statement, ast.If) and re.match("TYPE_CHECKING|__name__", ast.unparse(statement.test)))


def _has_effect(statement: ast.stmt) -> bool:
    is_text = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Assign | ast.AnnAssign
    return not is_text and not isinstance(statement, definition | ast.Import | ast.ImportFrom)


def _imports(module: str, node: ast.AST) -> dict[str, tuple[str, str | None]]:
    found: dict[str, tuple[str, str | None]] = {}
    for item in ast.walk(node):
        if isinstance(item, ast.ImportFrom):
            enclosing = module.split(".")[: -item.level] if item.level else []
            source = ".".join([*enclosing, *([item.module] if item.module else [])])
            if source.split(".")[0] in ROOMS:
                names = (
                    _public(source) if item.names[0].name == "*" else [(a.asname or a.name, a.name) for a in item.names]
                )
                found |= {known_as: (source, name) for known_as, name in names}
        elif isinstance(item, ast.Import):
            for alias in item.names:
                if alias.name.split(".")[0] in ROOMS:
                    found[alias.asname or alias.name.split(".")[0]] = (
                        (alias.name, None) if alias.asname else (alias.name.split(".")[0], None)
                    )
    return found


def _public(module: str) -> list[tuple[str, str]]:
    """What `import *` takes from a module, twice as the same name."""
    source = _source(module)
    names = [*source.definitions, *source.imports] if source else []
    return [(name, name) for name in names if name and not name.startswith("_")]


def _names(node: ast.AST) -> list[tuple[str, ...]]:
    """Each dotted chain of names that is read: `a`, `a.b`, `a.b.c`."""
    chains = []
    for item in ast.walk(node):
        chain: list[str] = []
        while isinstance(item, ast.Attribute):
            chain.append(item.attr)
            item = item.value
        if isinstance(item, ast.Name):
            chains.append((item.id, *reversed(chain)))
    return chains


def _essence(node: ast.stmt, is_root: bool) -> ast.stmt:
    node = copy.deepcopy(node)
    if is_root and isinstance(node, ast.FunctionDef):
        node.decorator_list = [item for item in node.decorator_list if not ast.unparse(item).startswith("step(")]
    if isinstance(node, ast.AnnAssign):
        node.annotation = ast.Name("object")
    for item in ast.walk(node):
        if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef):
            item.returns = None
            for argument in ast.walk(item.args):
                if isinstance(argument, ast.arg):
                    argument.annotation = None
        if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            is_text = [isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant) for s in item.body]
            item.body = [s for s, text in zip(item.body, is_text, strict=True) if not text] or [ast.Pass()]
    return node
