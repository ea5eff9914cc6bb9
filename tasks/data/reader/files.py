"""What is a file? Its first bytes say it, and its name where they do not."""

import re
import stat
import zlib
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath
from typing import Literal

from artifacts.errors import UsageError
from tasks.data.images import SUFFIXES, can_read_heic, is_heic

Kind = Literal["picture", "idx images", "idx labels", "npy", "npz", "table"]

HEAD = 1 << 16
"""Bytes from the start of a file that tell its kind."""
HEIC_SUFFIXES = (".heic", ".heif", ".hif")
TABLE_SUFFIXES = (".csv", ".tsv")
ARCHIVE_SUFFIXES = (".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".7z", ".rar")
KNOWN_FILES = f"pictures ({', '.join(SUFFIXES)}), .npy, .npz, .csv or IDX"
"""The kinds of files that are read, for messages."""
_SYSTEM = {
    *("__macosx", "icon\r", "network trash folder", "temporary items", "thumbs.db", "ehthumbs.db", "ehthumbs_vista.db"),
    *("desktop.ini", "$recycle.bin", "system volume information", "@eadir", "#recycle", "lost+found"),
}
_PICTURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"II*\0", b"MM\0*")
_NPY, _ZIP, _GZIP = b"\x93NUMPY", b"PK\x03\x04", b"\x1f\x8b"
_IDX_TYPES = b"\x08\x09\x0b\x0c\x0d\x0e"


def is_system_file(name: str) -> bool:
    """Whether a name is one that systems leave beside data: hidden files, __MACOSX, Thumbs.db, Office's locks."""
    return name.startswith((".", "~$")) or name.lower() in _SYSTEM


def is_special(path: Path) -> bool:
    """Whether a path is a pipe, a socket or a device, which would be waited for. A link to nowhere is none."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def list_folder(folder: Path) -> list[Path]:
    """The files and folders in a folder that are neither a system's own nor special, in the order of their names.

    Raises UsageError if the folder cannot be read.
    """
    try:
        paths = [path for path in folder.iterdir() if not (is_system_file(path.name) or is_special(path))]
        return sorted(paths, key=natural_key)
    except OSError as error:
        raise UsageError(
            f"the folder {folder} cannot be read: {error.strerror}; make it readable, or move it"
        ) from None


def walk(folder: Path, above: tuple[Path, ...] = ()) -> list[Path]:
    """All files in and below a folder that are not a system's own. A link to nowhere counts as a file.

    A linked folder is followed, but never to one of those `above` it.
    """
    files: list[Path] = []
    above = (*(above or folder.resolve().parents), folder.resolve())
    for path in list_folder(folder):
        if not path.is_dir():
            files.append(path)
        elif path.resolve() not in above:
            files += walk(path, above)
    return files


def natural_key(path: Path | str) -> list[tuple[int, int, str]]:
    """A key that sorts names as people do: "digit 9" before "digit 10"."""
    parts = re.split(r"(\d+)", str(path))
    return [(0, int(part), part) if part.isascii() and part.isdigit() else (1, 0, part) for part in parts]


def printable(text: object) -> str:
    """A name as one that can be printed, written as a line and sent anywhere: a file's name may have any bytes."""
    plain = str(text).encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return " ".join("".join(c if c.isprintable() else " " for c in plain).split())


def kind_of(path: Path) -> Kind | None:
    """What a file on this machine holds, or None if it is nothing that is read."""
    return kind_by(path.name, lambda: _head(path))


def kind_by(name: str, head: Callable[[], bytes]) -> Kind | None:
    """What a file holds, by its `name` if that says so, or by the bytes from its start, which `head` fetches.

    The name of a picture is believed without a look: what is wrong with it is said where it is read.
    """
    name = name.lower()
    if name.endswith(SUFFIXES):
        return "picture"
    if name.endswith(HEIC_SUFFIXES):
        return "picture" if can_read_heic() else None
    if name.endswith(TABLE_SUFFIXES):
        return "table"
    return kind_in(head()) or _kind_by_name(name)


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(HEAD)
    except OSError:
        return b""


def kind_in(head: bytes) -> Kind | None:
    """What a file that begins with the bytes `head` holds, whatever it is called."""
    head = gunzip_head(head)
    is_bmp = head.startswith(b"BM") and head[6:10] == bytes(4)
    if head.startswith(_PICTURES) or is_bmp or (head.startswith(b"RIFF") and head[8:12] == b"WEBP"):
        return "picture"
    if is_heic(head) and can_read_heic():
        return "picture"
    if head.startswith(_NPY):
        return "npy"
    if head.startswith(_ZIP) and b".npy" in head[:300]:
        return "npz"
    if head.startswith(b"\0\0") and head[2:3] and head[2] in _IDX_TYPES and 1 <= head[3] <= 4:
        return "idx labels" if head[3] == 1 else "idx images"
    return None


def _kind_by_name(name: str) -> Kind | None:
    """What a file that is damaged, or that cannot be looked into, should be."""
    plain = name.removesuffix(".gz")
    if re.search(r"idx\d", plain):
        return "idx labels" if "idx1" in plain or "label" in plain else "idx images"
    return "npy" if plain.endswith(".npy") else "npz" if plain.endswith(".npz") else None


def gunzip_head(head: bytes) -> bytes:
    """The first bytes of what a file holds, decompressed if they are gzip's."""
    if not head.startswith(_GZIP):
        return head
    try:
        return zlib.decompressobj(31).decompress(head, HEAD)
    except zlib.error:
        return b""


def count_left_out(names: Iterable[str]) -> str:
    """One line that counts the files that are not read, by their suffixes; nothing if there are none."""
    suffixes = Counter(PurePosixPath(name.lower()).suffix or "without a suffix" for name in names)
    if not suffixes:
        return ""
    total = suffixes.total()
    each = ", ".join(f"{suffix} {count:,}" for suffix, count in sorted(suffixes.items()))
    hint = "; install digitflow[heic] to read HEIC" if suffixes.keys() & set(HEIC_SUFFIXES) else ""
    return f"left out: {total:,} file{'s' * (total > 1)}: {each}{hint}"
