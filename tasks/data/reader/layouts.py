"""How are people's data laid out? A file or folder becomes one or two parts that can be read."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from artifacts.errors import BadSource, UsageError
from tasks.data.datasets import FILES
from tasks.data.reader.arrays import StoredArray, list_arrays
from tasks.data.reader.files import (
    ARCHIVE_SUFFIXES,
    count_left_out,
    is_special,
    kind_of,
    list_folder,
    natural_key,
    walk,
)
from tasks.data.reader.labels import NAME_FILES, class_names, read_names
from tasks.data.reader.parts import ArrayPair, Flaw, Pictures, PixelTable
from tasks.data.reader.roles import USUAL_NAMES, assign_roles, names_classes
from tasks.data.reader.tables import (
    LABEL_COLUMNS,
    FileLabel,
    Table,
    numbers_or_names,
    read_file_labels,
    read_table,
)

Part = ArrayPair | PixelTable | Pictures

DATA_FORMATS = (
    "a folder with the four IDX files ("
    + ", ".join(FILES)
    + "), a folder a class, pictures with a labels.csv, an .npz "
    f"file ({USUAL_NAMES}), or a .csv file with a row of pixels and a label for each image"
)
"""What a data set can be, for messages."""
_ROLE_FILES = dict(zip(("train images", "train labels", "test images", "test labels"), FILES, strict=True))
_SPLIT_FOLDERS = {
    "train": ("train", "training"),
    "test": ("test", "testing"),
    "validation": ("val", "valid", "validation"),
}


class Found(NamedTuple):
    """A data set or batch as it lies there: what it is, its parts, and what is to be said about it.

    `test` is None if nothing says which images are for the test. `left_out` are the names of files that are not read.
    """

    what: str
    train: Part | None
    test: Part | None = None
    class_names: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    flaws: tuple[Flaw, ...] = ()

    @property
    def parts(self) -> list[Part]:
        return [part for part in (self.train, self.test) if part is not None]

    @property
    def remarks(self) -> list[str]:
        """What is to be said before it is read, a line each."""
        return [*self.notes, *filter(None, [count_left_out(self.left_out)])]


def find_data(path: Path) -> Found:
    """What a file or folder holds. Raises UsageError, with what was found, if it is no data."""
    if not path.exists():
        raise UsageError(f"there is no file or folder {path}; give one that has images and their labels")
    if is_special(path):
        raise UsageError(f"{path} is a pipe or a device; give a file or a folder")
    try:
        found = _find_in_folder(path, path) if path.is_dir() else _find_in_file(path)
        names = found.class_names or (read_names(path) if path.is_dir() else ())
    except BadSource as error:
        raise UsageError(f"{path}: {error}") from None
    return found._replace(class_names=names)


def _find_in_file(path: Path) -> Found:
    kind = kind_of(path)
    if kind == "table" and (found := _from_tables([path])):
        return found
    if kind == "npz":
        return _from_arrays(list_arrays(path, kind), path)
    what = {"picture": "a picture", "npy": "a single array"}.get(kind or "", f"an IDX file of {(kind or '')[4:]}")
    if kind is None and path.name.lower().endswith(ARCHIVE_SUFFIXES):
        raise BadSource("is an archive; unpack it, and give the folder")
    raise BadSource(f"is {what if kind else 'of no kind that is read'}; give {DATA_FORMATS}")


def _find_in_folder(folder: Path, root: Path) -> Found:
    entries = list_folder(folder)
    files = {path: kind_of(path) for path in entries if not path.is_dir()}
    folders = [path for path in entries if path.is_dir()]
    arrays = [path for path, kind in files.items() if kind and (kind.startswith("idx") or kind in ("npz", "npy"))]
    tables = [path for path, kind in files.items() if kind == "table"]
    if arrays:
        found = _from_arrays([array for path in arrays for array in list_arrays(path, kind_of(path) or "npy")], folder)
        return _leave_out(found, [path for path in entries if path not in arrays])
    if tables and (found_in_tables := _from_tables(tables, has_folders=bool(folders))):
        return found_in_tables
    splits = {split: _folder_called(names, folders) for split, names in _SPLIT_FOLDERS.items()}
    if splits["train"]:
        return _from_splits(splits, [path for path in entries if path not in splits.values()])
    if len(folders) == 1 and not _has_pictures(folders[0]):
        return _leave_out(_find_in_folder(folders[0], root), files)
    classes = [path for path in folders if any(kind_of(file) == "picture" for file in walk(path))]
    if classes:
        return _from_classes(folder, classes, [path for path in entries if path not in classes])
    if any(kind == "picture" for kind in files.values()):
        remedy = "put them into a folder a class, or add a labels.csv with the columns file and label"
        raise BadSource(f"holds pictures ({_describe(folder)}), but nothing says what is in each; {remedy}")
    raise BadSource(f"holds no data set ({_describe(folder)}); give {DATA_FORMATS}")


def _from_arrays(arrays: list[StoredArray], place: Path) -> Found:
    roles = assign_roles(arrays)
    pairs = {}
    for split in ("train", "test"):
        images, labels = (roles.arrays.get(f"{split} {content}") for content in ("images", "labels"))
        if images and labels:
            pairs[split] = ArrayPair(images, labels)
        elif images or labels:
            missing = f"{split} {'labels' if images else 'images'}"
            is_idx = any(array.kind.startswith("idx") for array in arrays)
            hint = f" ({_ROLE_FILES[missing]})" if is_idx else f"; name the arrays {USUAL_NAMES}"
            raise BadSource(f"lacks the {missing}{hint}; it holds {', '.join(map(str, arrays))}")
    if not pairs:
        raise BadSource(f"holds no images with labels, but {', '.join(map(str, arrays))}; name them {USUAL_NAMES}")
    others = [array for array in roles.left_out if array.shape and not names_classes(array)]
    notes = [f"left out: the arrays {', '.join(map(str, others))}"] if others else []
    kinds = sorted({"IDX files" if array.kind.startswith("idx") else f".{array.kind}" for array in arrays})
    names = next((array for array in roles.left_out if names_classes(array)), None)
    what = f"arrays ({' and '.join(kinds)})" if kinds != ["IDX files"] else "IDX files"
    told = class_names(np.load(names.path)[names.member].tolist(), names.member) if names else ()
    return Found(what, pairs.get("train"), pairs.get("test"), told, (), (*roles.notes, *notes))


def _from_tables(paths: list[Path], *, has_folders: bool = False) -> Found | None:
    """Tables of pixels, one a split; or pictures and the table of their labels.

    If no table is either, None where folders beside them may hold the data, else BadSource.
    """
    tables = [read_table(path) for path in paths]
    labelled = [table for table in tables if table.pixels and table.label is not None]
    if labelled:
        return _from_pixels(labelled, [path for path in paths if path not in [table.path for table in labelled]])
    by_name = sorted(tables, key=lambda table: table.path.stem.lower() != "labels")
    for table in by_name:
        if table.files is not None and table.named(LABEL_COLUMNS) is not None:
            return _from_file_labels(table)
    if by_name[0].path.stem.lower() == "labels":
        read_file_labels(by_name[0])  # raises, and quotes its header
    if has_folders:
        return None
    table = by_name[0]
    raise BadSource(
        f"holds {table.path.name}, whose first row is {table.header}; it needs a column label, and a column file or "
        "the pixels of a square image"
    )


def _from_pixels(tables: list[Table], others: list[Path]) -> Found:
    test = [table for table in tables if "test" in table.path.stem.lower()]
    train = [table for table in tables if table not in test]
    if len(train) > 1 or len(test) > 1:
        names = ", ".join(table.path.name for table in tables)
        raise BadSource(f"holds several tables of pixels: {names}; keep one, or one called train and one called test")
    pairs = [PixelTable(part[0]) if part else None for part in (train, test)]
    return Found("a table of pixels (CSV)", pairs[0], pairs[1], left_out=tuple(path.name for path in others))


def _from_file_labels(table: Table) -> Found:
    """The pictures that a table names, by their path beside it, by their name alone, or without suffix."""
    folder, rows = table.path.parent, read_file_labels(table)
    present = [path for path in walk(folder) if path != table.path]
    files = _find_named(table, [row.file for row in rows], present)
    missing = [row.file for row, path in zip(rows, files, strict=True) if path is None]
    many = "s that are" if len(missing) > 1 else " that is"
    some = ", ".join(missing[:3]) + ", …" * (len(missing) > 3)
    absent = f"{table.path.name} names {len(missing)} file{many} not there: {some}"
    flaws = (Flaw("missing", absent, len(missing)),) if missing else ()
    _refuse_contradictions(table, rows, files)
    used = {path for path in files if path is not None}
    if not used:
        raise BadSource(f"{table.path.name} names {len(rows)} files, none of which is there, such as {rows[0].file!r}")
    left_out = tuple(path.name for path in present if path not in used and path.name not in NAME_FILES)
    labels, splits = numbers_or_names([row.label for row in rows]), [_split_called(row.split) for row in rows]

    def pictures(split: str) -> Pictures | None:
        own = [i for i, path in enumerate(files) if path is not None and splits[i] == split]
        return Pictures(folder, tuple(path for i in own if (path := files[i])), labels[own]) if own else None

    train, test, validation = (pictures(split) for split in ("train", "test", "validation"))
    is_unused = train is not None and test is not None and validation is not None
    notes = (f"left out: {splits.count('validation'):,} pictures of the validation split",) * is_unused
    first, *others = filter(None, (train, test, validation))
    second = others[0] if others else None
    return Found(f"pictures with {table.path.name}", first, second, (), left_out, notes, flaws)


def _split_called(text: str) -> str:
    """The split that a table names; the training split, if it names none."""
    return next((split for split, names in _SPLIT_FOLDERS.items() if text.lower() in names), "train")


def _find_named(table: Table, names: list[str], present: list[Path]) -> list[Path | None]:
    """The file for each name of a table, however its folder and its capitals are written; None if there is none.

    Raises BadSource if a name is that of several files, or if it leads out of the folder to a file that is not there.
    """
    folder = table.path.parent
    exact, index = {str(path.relative_to(folder)): path for path in present}, dict[str, list[Path]]()
    for path in present:
        for key in {str(path.relative_to(folder)), path.name, path.stem}:
            for form in {key, key.lower()}:
                index.setdefault(form, []).append(path)
    files: list[Path | None] = []
    for name in names:
        plain = name.replace("\\", "/").removeprefix("./")
        last = plain.rpartition("/")[2]
        found = [exact[plain]] if plain in exact else []
        found = found or next((index[form] for form in (plain, plain.lower(), last, last.lower()) if form in index), [])
        if not found and not (folder / plain).resolve().is_relative_to(folder.resolve()):
            raise BadSource(f"{table.path.name} names {name}, which is outside the folder")
        if len(found) > 1:
            both = " and ".join(str(path.relative_to(folder)) for path in found[:2])
            raise BadSource(f"{table.path.name} names {name}, which could be {both}; name the folder too")
        files.append(found[0] if found else None)
    return files


def _refuse_contradictions(table: Table, rows: list[FileLabel], files: list[Path | None]) -> None:
    known: dict[Path, str] = {}
    for row, path in zip(rows, files, strict=True):
        if path is not None and known.setdefault(path, row.label) != row.label:
            raise BadSource(f"{table.path.name} gives {row.file} two labels: {known[path]} and {row.label}; keep one")


def _from_classes(folder: Path, classes: list[Path], others: Iterable[Path]) -> Found:
    files, labels, left_out = [], [], [path.name for path in _files_of(others)]
    for path in classes:
        for file in walk(path):
            if kind_of(file) == "picture":
                files.append(file)
                labels.append(path.name)
            else:
                left_out.append(file.name)
    pictures = Pictures(folder, tuple(files), np.array(labels))
    return Found("a folder a class", pictures, None, (), _without_names(left_out))


def _from_splits(splits: dict[str, Path | None], others: Iterable[Path]) -> Found:
    test = splits["test"] or splits["validation"]
    parts = []
    for split in filter(None, (splits["train"], test)):
        found = find_data(split)
        parts.append(found._replace(train=found.train or found.test, test=None))
    train, *rest = parts
    notes = [note for part in parts for note in part.notes]
    unused = [splits["validation"]] if splits["test"] and splits["validation"] else []
    left_out = [name for part in parts for name in part.left_out]
    left_out += [path.name for path in _files_of([*others, *filter(None, unused)])]
    names = next((part.class_names for part in parts if part.class_names), ())
    return Found(
        f"{train.what}, for each split",
        train.train,
        rest[0].train if rest else None,
        names,
        _without_names(left_out),
        tuple(notes),
        tuple(flaw for part in parts for flaw in part.flaws),
    )


def _leave_out(found: Found, paths: Iterable[Path]) -> Found:
    names = [path.name for path in _files_of(paths)]
    return found._replace(left_out=(*found.left_out, *_without_names(names)))


def _without_names(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(name for name in names if name not in NAME_FILES)


def _files_of(paths: Iterable[Path]) -> list[Path]:
    return [file for path in paths for file in (walk(path) if path.is_dir() else [path])]


def _folder_called(names: tuple[str, ...], folders: list[Path]) -> Path | None:
    return next((folder for folder in folders if folder.name.lower() in names), None)


def _has_pictures(folder: Path) -> bool:
    return any(kind_of(path) == "picture" for path in list_folder(folder) if not path.is_dir())


def _describe(folder: Path) -> str:
    """What there is in a folder that is no data set."""
    counted = count_left_out(sorted((path.name for path in walk(folder)), key=natural_key))
    return counted.removeprefix("left out: ").partition(";")[0] or "it is empty"
