"""The project code that a function's result depends on, read from the source without importing it."""

import ast
import hashlib
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from artifacts.lineage.source import EFFECTS, chains_of, read_source, without_step

_ALL = "*"
"""The name of everything that a module defines or imports."""

Definition = tuple[str, str]
Use = tuple[str, Definition]
"""A name as a definition uses it, or nothing for what is used because a module is imported; and what it stands for."""
Reading = tuple[dict[str, str], tuple[Use, ...]]
"""The digests of a definition and of the files that it names, and what it uses."""


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
def _walk(module: str, function: str) -> dict[Definition, Reading]:
    """Everything that `function` reaches, in the order of use."""
    walk = {(module, function): _read(module, function, is_root=True)}
    for definition in (queue := [(module, function)]):
        for _, target in walk[definition][1]:
            if target not in walk:
                walk[target] = _read(*target)
                queue.append(target)
    return walk


def _with_digest(target: Definition, walk: dict[Definition, Reading]) -> list[Definition]:
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


@cache
def _read(module: str, name: str, is_root: bool = False) -> Reading:
    """The digests of one definition and of the files that it names; and what it uses, in order."""
    source = read_source(module)
    if source is None:
        return {}, ()
    uses: list[Use] = [("", (enclosing, EFFECTS)) for enclosing in _enclosing(module)]
    uses += [(name, each) for target in source.imports.get(name, ()) for each in _resolved(target, ())]
    if name == _ALL:
        uses += [(each, (module, each)) for each in [*source.definitions, *source.imports]]
    definitions = source.definitions.get(name, [])
    if name == EFFECTS:  # a module is imported with all that it imports
        uses += [("", (imported, EFFECTS)) for targets in source.imports.values() for imported, _ in targets]
    if not definitions:
        return {}, tuple(uses)
    texts: list[str] = []
    files: dict[str, str] = {}
    for statement, inner in definitions:
        node = without_step(statement) if is_root else statement
        chains = list(chains_of(node))
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
    while path and read_source(f"{module}.{path[0]}") is not None:
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
