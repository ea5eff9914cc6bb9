"""The verb `data check`: show what people's own data are, and mend them."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from artifacts.errors import UsageError
from artifacts.storage.home import CHECKS
from artifacts.storage.settings import Settings
from artifacts.storage.store import Store
from flows.cli.output import show_json, show_table
from flows.cli.switch import Switch

if TYPE_CHECKING:
    from tasks.data.datasets import Source
    from tasks.data.inspection.inspect import Inspection
    from tasks.data.reader.read import Stored

SHOWN = 40
"""Classes that the table names."""


def check(
    path: Annotated[str, Parameter(help="Folder, file or URL of a data set, as for train --dataset.")],
    *,
    fix: Annotated[Path | None, Parameter(show_default=False)] = None,
    transpose: Annotated[bool | None, Parameter(negative="--no-transpose", show_default=False)] = None,
    drop_copies: Switch = False,
    json: Switch = False,
) -> int:
    """Show what a data set is, and every problem that it has, with a remedy, in seconds; nothing is trained.

    Example: digitflow data check cards/ --fix cards-fixed

    Parameters
    ----------
    fix: Path
        Write a sound copy into this new folder: without copies across the splits, labels from 0, images of one size.
    transpose: bool
        Turn the images of the copy about their diagonal, or do not. Default: if they seem to lie on their side.
    drop_copies: bool
        Leave copies within a split out of the copy, and all of those with different labels. Default: they stay.
    json: bool
        Print one JSON object on stdout.
    """
    for option, is_given in (("--transpose", transpose is not None), ("--drop-copies", drop_copies)):
        if is_given and fix is None:
            raise UsageError(f"{option} is about the copy that --fix writes; give both")
    from tasks.data.inspection.inspect import inspect
    from tasks.data.inspection.repair import repair
    from tasks.data.reader.place import locate_data

    settings = Settings.load()
    if fix and fix.resolve().is_relative_to(Path(path).resolve()):
        raise UsageError(f"{fix} is in {path}, so the copy would become part of it; name another folder")
    source, place = locate_data(path, settings.home, settings.max_file_bytes)
    fixed: dict[str, Any] = {}
    refusal: UsageError | None = None
    with settings.artifacts.scratch() as folder:
        inspected = inspect(source, place, store := Store(folder))
        grid = _draw(inspected.stored, source, settings, store)
        try:
            fixed = repair(inspected, fix, store, transpose, drop_copies)._asdict() if fix else {}
        except UsageError as error:
            refusal = error
    found = inspected.inspection
    if json:
        plain = {"folder": str(fixed["folder"]), "done": fixed["done"]} if fixed else None
        show_json(found.model_dump(mode="json") | {"grid": grid, "sound": not found.errors, "fixed": plain})
    else:
        show_table(_rows(found, grid, fixed, path))
    if refusal:
        raise refusal
    return 0 if fixed or not found.errors else UsageError.exit_code


def _draw(stored: "Stored | None", source: "Source", settings: Settings, store: Store) -> str:
    """The path of a picture of samples; nothing if there are none."""
    from tasks.data.inspection.grid import draw_grid

    if stored is None:
        return ""
    name = f"{CHECKS}/{re.sub(r'[^a-zA-Z0-9]+', '-', source.name)[:64]}-{source.digests[0][:12]}.png"
    return str(settings.artifacts.write(name, draw_grid(stored.splits, store)))


def _rows(found: "Inspection", grid: str, fixed: dict[str, Any], path: str) -> list[tuple[str, str]]:
    rows = [("data", f"{found.name}: {found.what} in {found.path}")]
    if found.classes:
        size = f"{found.width}×{found.height}"
        rows += [("images", f"{found.train_images:,} to train on, {found.test_images:,} to test, {size} pixels")]
        rows += [("classes", f"{len(found.classes)}: label (name): images to train on + to test")]
        rows += [("", _class_row(found, i)) for i in range(0, min(SHOWN, len(found.classes)), 10)]
    rows += [("note", note) for note in found.notes]
    rows += [(problem.severity, problem.message) for problem in found.problems]
    rows += [("samples", grid)] if grid else []
    rows += [("fixed", done) for done in fixed.get("done", ())]
    if fixed:
        return [*rows, ("written", str(fixed["folder"])), ("verdict", "the copy is sound; train on it")]
    if not found.problems:
        return [*rows, ("verdict", "sound")]
    if found.is_repairable:
        rows += [("next", f"{found.mending(path)} writes a copy without what can be mended")]
    return [*rows, ("verdict", "it cannot be trained on as it is" if found.errors else "it can be trained on")]


def _class_row(found: "Inspection", start: int) -> str:
    return ", ".join(
        f"{one.label}{f' ({one.name})' if one.name else ''}: {one.train:,} + {one.test:,}"
        for one in found.classes[start : start + 10]
    )
