"""The project code that a function's result depends on, read from the source without importing it."""

import ast
import contextlib
import copy
import hashlib
import importlib.util
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

ROOMS = ("artifacts", "tasks", "flows")

_EFFECTS, _ALL = "", "*"
"""Two names that are used in place of a definition's. `_EFFECTS`: the statements of a module that do more than define
or import. `_ALL`: everything that a module defines or imports.
"""

Definition = tuple[str, str]
Use = tuple[str, Definition]
"""A name as a definition uses it, or nothing for what is used because a module is imported; and what it stands for."""
Imports = dict[str, dict[tuple[str, str | None], None]]
"""By name; the values are ordered sets, since branches may import one name from several places."""


@cache
def fingerprint(module: str, function: str) -> dict[str, str]:
    """Map each definition that `function` reaches, as "module:name", to a digest of its code.

    A function reaches what it names, and what that names: functions, classes and constants of the project, also by
    imports inside functions; files beside a module, such as templates; and, as "module:", what a module does on
    import. Names that are made at run time, as for `getattr`, are not seen. A process reads each file once.

    Not part of a digest are comments, docstrings and layout; annotations of functions and module variables; `@step` on
    `function`; and imports from the project, since they are followed. So code may move.
    """
    reached: dict[str, str] = {}
    for digests, _ in _walk(module, function).values():
        reached |= digests
    return reached


@cache
def bindings(module: str, function: str) -> str:
    """A digest of which name stands for which definition, in all that `function` reaches.

    Definitions count by the order in which the walk meets them, not by module, so code may move; but two definitions
    that swap their names, or an import that takes another one, change it.
    """
    walk = _walk(module, function)
    numbers: dict[Definition, int] = {(module, function): 0}
    rows = []
    for definition in (queue := [(module, function)]):
        digests, uses = walk[definition]
        named = []
        for name, target in uses:
            for real in _with_digest(target, walk) if name else ():
                if real not in numbers:
                    numbers[real] = len(queue)
                    queue.append(real)
                named.append((name, numbers[real]))
        rows.append([definition[1], sorted(digests.values()), sorted(set(named))])
    return hashlib.sha256(repr(rows).encode()).hexdigest()


@cache
def _walk(module: str, function: str) -> "dict[Definition, Reading]":
    """Everything that `function` reaches, in the order of use."""
    walk = {(module, function): _read(module, function, is_root=True)}
    for definition in (queue := [(module, function)]):
        for _, target in walk[definition][1]:
            if target not in walk:
                walk[target] = _read(*target)
                queue.append(target)
    return walk


def _with_digest(target: Definition, walk: "dict[Definition, Reading]") -> list[Definition]:
    """The definitions with code behind a name that may only pass an import on."""
    found, seen = [], {target}
    for definition in (queue := [target]):
        digests, uses = walk[definition]
        if digests:
            found.append(definition)
            continue
        for name, following in uses:
            if name and following not in seen:
                seen.add(following)
                queue.append(following)
    return found


Reading = tuple[dict[str, str], tuple[Use, ...]]


@cache
def _read(module: str, name: str, is_root: bool = False) -> Reading:
    """The digests of one definition and of the files that it names; and what it uses, in order."""
    source = _source(module)
    if source is None:
        return {}, ()
    uses: list[Use] = [("", (enclosing, _EFFECTS)) for enclosing in _enclosing(module)]
    uses += [(name, each) for target in source.imports.get(name, ()) for each in _resolved(target, ())]
    if name == _ALL:
        uses += [(each, (module, each)) for each in [*source.definitions, *source.imports]]
    definitions = source.definitions.get(name, [])
    if name == _EFFECTS:  # a module is imported with all that it imports
        uses += [("", (imported, _EFFECTS)) for targets in source.imports.values() for imported, _ in targets]
    if not definitions:
        return {}, tuple(uses)
    texts: list[str] = []
    files: dict[str, str] = {}
    for statement, inner in definitions:
        node = _without_step(statement) if is_root else statement
        chains = list(_chains(node))
        for first, *attributes in chains:
            as_used = ".".join([first, *attributes])
            targets = inner.get(first, {}) | source.imports.get(first, {})
            uses += [(as_used, each) for target in targets for each in _resolved(target, tuple(attributes))]
            uses += [(as_used, (module, first))] if first in source.definitions else []
        borrowed = sorted(
            {source.libraries[name] for name in ("*", *(c[0] for c in chains)) if name in source.libraries}
        )
        texts += [*borrowed, ast.unparse(node)]
        files |= _files(module, source.path.parent, node)
    return {f"{module}:{name}": hashlib.sha256("\n".join(texts).encode()).hexdigest()} | files, tuple(uses)


def _resolved(target: tuple[str, str | None], attributes: tuple[str, ...]) -> Iterator[Definition]:
    """The definition that an import and its attributes lead to; for a module that is used as a value, all of it."""
    module, name = target
    path = [*([name] if name else []), *attributes]
    while path and _source(f"{module}.{path[0]}") is not None:
        module = f"{module}.{path.pop(0)}"
    yield module, path[0] if path else _ALL


def _enclosing(module: str) -> list[str]:
    """A module and its packages, which are imported with it."""
    parts = module.split(".")
    return [".".join(parts[: i + 1]) for i in range(len(parts))]


def _files(module: str, folder: Path, node: ast.AST) -> dict[str, str]:
    """Digests of the files in `folder` whose names are texts in `node`."""
    texts = {item.value for item in ast.walk(node) if isinstance(item, ast.Constant) and isinstance(item.value, str)}
    files = [folder / text for text in sorted(texts) if re.fullmatch(r"[\w-]{1,99}(\.[\w-]{1,20}){1,3}", text)]
    return {f"{module}:{file.name}": hashlib.sha256(file.read_bytes()).hexdigest() for file in files if file.is_file()}


@dataclass
class _Source:
    """The top level of a module: its definitions, its other statements, and its imports."""

    path: Path
    definitions: dict[str, list[tuple[ast.stmt, Imports]]] = field(default_factory=dict)
    """For each name, its statements without their imports from the project, and these imports."""
    imports: Imports = field(default_factory=dict)
    libraries: dict[str, str] = field(default_factory=dict)
    """For each name that an import from outside the project binds, the import."""


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
    statements = [part for statement in _tree(path.read_bytes()).body for part in _when_imported(statement)]
    outside = list(_outside_functions(statements))
    source = _Source(path, imports=_imports(module, outside), libraries=_libraries(outside))
    for statement in statements:
        inner = _imports(module, ast.walk(statement))
        _reduce(statement)
        for name in _defined(statement):
            source.definitions.setdefault(name, []).append((statement, inner))
        if _has_effect(statement, source):
            source.definitions.setdefault(_EFFECTS, []).append((statement, inner))
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


def _has_effect(statement: ast.stmt, source: _Source) -> bool:
    """Whether a statement does more than define: it may register, patch or set something."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        names = {chain[0] for item in statement.decorator_list if not _is_step(item) for chain in _chains(item)}
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
    source = _source(module)
    names = [*source.definitions, *source.imports] if source else []
    return [(name, name) for name in names if name and not name.startswith("_")]


def _chains(node: ast.AST) -> Iterator[tuple[str, ...]]:
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
            yield from _chains(part)


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


def _without_step(node: ast.stmt) -> ast.stmt:
    if not isinstance(node, ast.FunctionDef):
        return node
    node = copy.copy(node)
    node.decorator_list = [item for item in node.decorator_list if not _is_step(item)]
    return node
