"""Which code travels with a logged model? A module and what it imports of ours, as a package with a name of its own."""

import hashlib
import importlib.util
import re
from pathlib import Path

from artifacts.lineage.source import ROOMS

_IMPORT = re.compile(rf"^(\s*from )((?:{'|'.join(ROOMS)})[\w.]*)(?= import )", re.MULTILINE)


def write_package(module: str, folder: Path) -> str:
    """Write the module and all that it imports of ours into a new package in the folder; returns the module's new name.

    The package is named after its content, so that models with different code are used in one process, and neither
    hides digitflow itself.
    """
    sources = _sources(module)
    content = "".join(f"{name}\n{text}" for name, text in sorted(sources.items()))
    package = f"digitflow_{hashlib.sha256(content.encode()).hexdigest()[:12]}"
    for name, text in sources.items():
        path = (folder / package).joinpath(*name.split(".")).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_IMPORT.sub(rf"\1{package}.\2", text), "utf-8")
    for path in [path for path in folder.rglob("*") if path.is_dir()]:
        (path / "__init__.py").touch()
    return f"{package}.{module}"


def _sources(module: str) -> dict[str, str]:
    """The text of each module that is reached, by its name."""
    sources: dict[str, str] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name not in sources:
            spec = importlib.util.find_spec(name)
            if spec is None or spec.origin is None:
                raise ModuleNotFoundError(f"{name}, which {module} imports, has no file")
            sources[name] = Path(spec.origin).read_text("utf-8")
            waiting += [imported for _, imported in _IMPORT.findall(sources[name])]
    return sources
