"""What is each array for? Its shape says whether it holds images or labels, its name of which split."""

import io
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, NamedTuple

from artifacts.errors import BadSource
from tasks.data import idx
from tasks.data.reader.arrays import StoredArray, list_members, read_npy_header
from tasks.data.reader.files import Kind, gunzip_head

Split = Literal["train", "test", "validation", ""]
Content = Literal["images", "labels"]

_SPLITS: dict[Split, str] = {
    "validation": "val|valid|validation|dev",
    "test": "test|testing|t10k|eval|te",
    "train": "train|training|tr",
}
_CONTENTS: dict[Content, str] = {
    "labels": "labels?|lbls?|y|targets?",
    "images": "images?|imgs?|x|data|pixels|features|pictures",
}
_JOINED = re.compile(
    rf"(?<![a-z])(?:({'|'.join(_CONTENTS.values())})({'|'.join(_SPLITS.values())})"
    rf"|({'|'.join(_SPLITS.values())})({'|'.join(_CONTENTS.values())}))(?![a-z])"
)
_NAMES = "names|classes|categories"
_POSITIONS = ("train images", "train labels", "test images", "test labels")
USUAL_NAMES = "images and labels, or x_train, y_train, x_test and y_test"
MAX_NAME_BYTES = 1 << 20
SAME_TIME = 60
"""Seconds. A file and its gzip that are no further apart were made together."""


class Roles(NamedTuple):
    """The arrays of a data set by split and content, such as "train images"; what is said of the choice; the rest."""

    arrays: dict[str, StoredArray]
    notes: list[str]
    left_out: list[StoredArray]


def assign_roles(arrays: Iterable[StoredArray]) -> Roles:
    """Find out what each array is for. Raises BadSource, with all arrays that there are, if two are for the same."""
    arrays = list(arrays)
    numbered = _by_position(arrays)
    if numbered:
        return Roles(numbered, [], [])
    candidates: dict[str, list[StoredArray]] = {}
    left_out = []
    for array in arrays:
        split, content = _split(array), _content(array)
        if content is None:
            left_out.append(array)
        else:
            candidates.setdefault(f"{split or 'train'} {content}", []).append(array)
    roles, notes = {}, []
    for role, found in candidates.items():
        newest, note = _newest(found)
        if len(newest) > 1:
            raise BadSource(f"holds {len(newest)} arrays of {role}: {', '.join(map(str, newest))}; keep one of them")
        roles[role] = newest[0]
        notes += [note] if note else []
    validation = {role.partition(" ")[2]: roles.pop(role) for role in list(roles) if role.startswith("validation")}
    if len(validation) == 2 and not {"test images", "test labels"} & roles.keys():
        roles |= {f"test {content}": array for content, array in validation.items()}
    else:
        left_out += validation.values()
    return Roles(roles, notes, left_out)


def _by_position(arrays: list[StoredArray]) -> dict[str, StoredArray]:
    """Arrays that NumPy numbered, arr_0 and so on: images and labels, of the training and then of the test split."""
    names = [f"arr_{i}" for i in range(len(arrays))]
    if len(arrays) not in (2, 4) or sorted(array.member for array in arrays) != names:
        return {}
    ordered = sorted(arrays, key=lambda array: array.member)
    contents = [_content(array) for array in ordered]
    is_usual = contents[::2] == ["images"] * len(contents[::2]) and contents[1::2] == ["labels"] * len(contents[1::2])
    return dict(zip(_POSITIONS, ordered, strict=False)) if is_usual else {}


def _split(array: StoredArray) -> Split:
    """The split that the array's name tells, or else that of its file."""
    for name in (array.member, array.path.name):
        for split, pattern in _SPLITS.items():
            if _has_word(name, pattern):
                return split
    return ""


def _content(array: StoredArray) -> Content | None:
    """Whether an array holds images or labels, by its shape, or by its name if the shape leaves it open."""
    named = next(
        (content for name in (array.member, array.path.name) for content in _CONTENTS if _is_named(name, content)), None
    )
    sides = len(array.shape)
    if sides == 3 or (sides == 4 and not array.kind.startswith("idx")):
        return "images"
    if sides == 1:
        return "labels" if array.dtype.kind in "uifb" or (named == "labels" and not names_classes(array)) else None
    if sides == 2 and 1 in array.shape:
        return "labels"
    return (named or ("images" if array.shape[1] >= 64 else "labels")) if sides else None


def images_among(arrays: list[StoredArray]) -> StoredArray:
    """The one array of images. Raises BadSource, with all arrays, if there is none, or several."""
    images = [array for array in arrays if _content(array) == "images"]
    if len(images) != 1:
        which = "several arrays of images" if images else "no array of images"
        raise BadSource(f"holds {which}: {', '.join(map(str, arrays))}; save the one to read as .npy")
    return images[0]


def declared_shape(file: Any, kind: Kind | None, head: bytes) -> tuple[int, ...]:
    """The shape that an open file of arrays declares, which begins with `head`; of an .npz, that of its images.

    Raises BadSource if there is no such array.
    """
    if kind == "npz":
        return images_among(list_members(Path("images.npz"), file)).shape
    opened = io.BytesIO(gunzip_head(head))
    return read_npy_header(opened)[1] if kind == "npy" else idx.read_header(opened, "it")[1]


def names_classes(array: StoredArray) -> bool:
    """Whether an array holds the names of the classes, of a size that such names have."""
    is_row = array.dtype.kind in "SU" and len(array.shape) == 1
    return is_row and array.dtype.itemsize * array.shape[0] <= MAX_NAME_BYTES and _has_word(array.member, _NAMES)


def _is_named(name: str, content: Content) -> bool:
    return _has_word(name, _CONTENTS[content])


def _has_word(name: str, pattern: str) -> bool:
    """Whether a word of a name matches. xTrain, Xtrain and trainX have two words, as x_train has."""
    name = _JOINED.sub(r"\1_\2\3_\4", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower())
    return re.search(rf"(?<![a-z])({pattern})(?![a-z])", name) is not None


def _newest(arrays: list[StoredArray]) -> tuple[list[StoredArray], str]:
    """Of a file and its gzip the newer one, and a line that says so; arrays of different names are all left."""
    stems = {array.path.name.lower().removesuffix(".gz") for array in arrays}
    if len(arrays) != 2 or len(stems) != 1 or arrays[0].path == arrays[1].path:
        return arrays, ""
    packed, plain = sorted(arrays, key=lambda array: not array.path.name.lower().endswith(".gz"))
    is_packed_newer = packed.path.stat().st_mtime > plain.path.stat().st_mtime + SAME_TIME
    used, other = (packed, plain) if is_packed_newer else (plain, packed)
    return [used], f"{used.path.name} is read, and not {other.path.name} beside it, which is not newer"
