"""Which class is each label? Whole numbers count from 0; names are classes in the order in which people sort them."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from artifacts.errors import BadSource
from artifacts.storage.arrays import Labels
from tasks.data.reader.arrays import readable
from tasks.data.reader.files import natural_key, printable

NAME_FILES = ("classes.txt", "class_names.txt")
MAX_CLASSES = 256


def read_names(folder: Path) -> tuple[str, ...]:
    """The names of the classes, from a text file with one a line; none if the folder has no such file."""
    for name in NAME_FILES:
        path = folder / name
        if path.is_file():
            with readable(path):
                content = path.read_bytes()
            if b"\0" in content:
                raise BadSource(f"{name} is no text; write one name a line, in UTF-8")
            return class_names((line for line in _as_text(content).splitlines() if line.strip()), name)
    return ()


def class_names(names: Iterable[object], place: str) -> tuple[str, ...]:
    """The names of classes in the order of their labels, as ones that can be printed. Raises BadSource if they are not
    told apart.
    """
    found = tuple(printable(name) for name in names)
    if "" in found:
        raise BadSource(f"{place} has no name for class {found.index('')}; give each class a name")
    if repeated := [each for each, count in Counter(found).items() if count > 1]:
        raise BadSource(f"{place} names {repeated[0]} twice; give each class a name of its own")
    return found


def _as_text(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace")


def encode(splits: Sequence[np.ndarray], told: tuple[str, ...] = ()) -> tuple[list[np.ndarray], tuple[str, ...]]:
    """The labels of all splits as uint8, and the names of the classes, if they have any but their numbers.

    `told` are names in the order of their classes. Raises BadSource, with the values that were found.
    """
    if all(values.dtype.kind in "iu" for values in splits):
        return [_as_bytes(values) for values in splits], _checked_names(splits, told)
    splits = [np.array([printable(value) for value in values.tolist()], str) for values in splits]
    used = sorted({value for values in splits for value in values.tolist()}, key=natural_key)
    names = told if set(used) <= set(told) else tuple(used)
    if len(names) > MAX_CLASSES:
        raise BadSource(f"has {len(names):,} classes, more than {MAX_CLASSES}: {', '.join(names[:4])}, …")
    numbers = {name: number for number, name in enumerate(names)}
    encoded = [np.array([numbers[value] for value in values.tolist()], np.uint8) for values in splits]
    return encoded, () if names == tuple(map(str, range(len(names)))) else names


def encode_as(values: np.ndarray, names: tuple[str, ...], classes: int | None = None) -> Labels:
    """Labels as uint8 by the classes of a data set that is there already; `names` is empty if these are numbers.

    `classes` is their number, if it is known. Raises BadSource if a label is none of its classes.
    """
    if values.dtype.kind in "iu":
        if classes is not None and len(values) and values.max() >= classes:
            raise BadSource(f"has the label {values.max()}, but the labels of the data set are 0 to {classes - 1}")
        return _as_bytes(values)
    numbers = {name: number for number, name in enumerate(names or map(str, range(MAX_CLASSES)))}
    texts = [printable(value) for value in values.tolist()]
    unknown = sorted(set(texts) - numbers.keys(), key=natural_key)
    if unknown:
        known = ", ".join(names[:8]) + ", …" * (len(names) > 8) if names else "whole numbers"
        raise BadSource(f"has the label {unknown[0]!r}, but the classes of the data set are {known}; label it so")
    return np.array([numbers[text] for text in texts], np.uint8)


def _as_bytes(values: np.ndarray) -> Labels:
    if len(values) and (values.min() < 0 or values.max() >= MAX_CLASSES):
        raise BadSource(
            f"has labels from {values.min()} to {values.max()}; they must be whole numbers from 0 to {MAX_CLASSES - 1}"
        )
    return values.astype(np.uint8)


def _checked_names(splits: Sequence[np.ndarray], told: tuple[str, ...]) -> tuple[str, ...]:
    highest = max((int(values.max()) for values in splits if len(values)), default=0)
    if told and highest >= len(told):
        raise BadSource(
            f"names {len(told)} classes, {told[0]} to {told[-1]}, but has labels up to {highest}; name each"
        )
    return told
