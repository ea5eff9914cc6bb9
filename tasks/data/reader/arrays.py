"""Which arrays does an .npy, .npz or IDX file hold? Headers tell; values are read in chunks from an unpacked file."""

import contextlib
import gzip
import math
import shutil
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from artifacts.errors import BadSource, DigitflowError, is_transient
from artifacts.storage.arrays import at_once
from tasks.data import idx
from tasks.data.reader.files import Kind


class StoredArray(NamedTuple):
    """An array in a file: `member` is its name in an .npz, "" elsewhere. Its values were not read yet."""

    path: Path
    member: str
    kind: Kind
    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    @property
    def name(self) -> str:
        """Its name for people, and the name that tells what it is for."""
        return self.member or self.path.name

    def __str__(self) -> str:
        return f"{self.name} ({' × '.join(map(str, self.shape)) or 'one value'}, {self.dtype.name})"


class PlainArray(NamedTuple):
    """An array in an unpacked file, from byte `offset` on. Its chunks are read, not mapped: a mapped file that becomes
    shorter would kill the process.
    """

    path: Path
    offset: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    is_fortran: bool = False

    def chunks(self, start: int = 0, stop: int | None = None) -> Iterator[np.ndarray]:
        """The items from `start` to before `stop` along the first axis, some at a time; in Fortran's order, at once."""
        stop = self.shape[0] if stop is None else min(stop, self.shape[0])
        size = math.prod(self.shape[1:]) * self.dtype.itemsize
        with self.path.open("rb") as file:
            file.seek(self.offset)
            if self.is_fortran:
                whole = np.frombuffer(file.read(self.shape[0] * size), self.dtype)
                yield whole.reshape(self.shape, order="F")[start:stop]
                return
            file.seek(start * size, 1)
            step = at_once(size)
            for i in range(start, stop, step):
                rows = min(step, stop - i)
                data = file.read(rows * size)
                yield np.frombuffer(data, self.dtype).reshape(rows, *self.shape[1:])  # ValueError if it became shorter

    def whole(self) -> np.ndarray:
        """All values, for arrays that are small, such as labels."""
        if not self.shape:
            with self.path.open("rb") as file:
                file.seek(self.offset)
                return np.frombuffer(file.read(self.dtype.itemsize), self.dtype).reshape(())
        return np.concatenate([np.empty((0, *self.shape[1:]), self.dtype), *self.chunks()])


def list_arrays(path: Path, kind: Kind) -> list[StoredArray]:
    """The arrays that a file declares. Raises BadSource if it is damaged or holds Python objects."""
    if kind == "npz":
        with readable(path), path.open("rb") as file:
            return list_members(path, file)
    with readable(path), _opened(path) as file:
        if kind != "npy":
            return [StoredArray(path, "", kind, *idx.read_header(file, path.name))]
        try:
            return [StoredArray(path, "", kind, *read_npy_header(file)[:2])]
        except BadSource as error:
            raise BadSource(f"{path.name} {error}") from None


def unpack(array: StoredArray, plain: Path, max_bytes: int) -> PlainArray:
    """Copy an array to the file `plain`, decompressed, to at most `max_bytes`. Raises BadSource."""
    with readable(array.path):
        if array.member:
            _unpack_member(array, plain, max_bytes)
        else:
            idx.decompress(array.path, plain, max_bytes)
        return open_plain(plain, array.path.name, "npy" if array.kind in ("npy", "npz") else array.kind, max_bytes)


def open_plain(plain: Path, name: str, kind: Kind, max_bytes: int) -> PlainArray:
    """The array of an unpacked .npy or IDX file. Raises BadSource if the file, called `name`, cannot hold it."""
    with plain.open("rb") as file:
        dtype, shape, is_fortran = read_npy_header(file) if kind == "npy" else (*idx.read_header(file, name), False)
        offset, size = file.tell(), math.prod(shape) * dtype.itemsize
    held = plain.stat().st_size - offset
    if size > held or (kind != "npy" and size < held):
        raise BadSource(
            f"{name} declares {'×'.join(map(str, shape))} {dtype.name} = {size:,} bytes, but holds {held:,}"
        )
    if is_fortran and size > max_bytes:
        raise BadSource(f"{name} has its values in Fortran's order, and more than {max_bytes:,} bytes; save it in C's")
    return PlainArray(plain, offset, dtype, shape, is_fortran)


@contextlib.contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn what readers of damaged files raise into BadSource, and a transient error into DigitflowError."""
    try:
        yield
    except DigitflowError:
        raise
    except Exception as error:
        if is_transient(error):
            raise DigitflowError(f"{path} cannot be read now: {error}; run again when it can") from error
        what = (isinstance(error, OSError) and error.strerror) or " ".join(str(error).split())
        raise BadSource(f"{path.name} cannot be read: {what or type(error).__name__}") from None


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    with path.open("rb") as file:
        is_gzip = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        try:
            yield gzip.open(file) if is_gzip else file  # noqa: SIM115
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise BadSource(f"{path.name} is not a whole gzip file ({error})") from None


def read_npy_header(file: Any) -> tuple[np.dtype[Any], tuple[int, ...], bool]:
    """Read an .npy file up to its first value. Raises BadSource if its values are Python objects or records."""
    try:
        major, _ = np.lib.format.read_magic(file)
        reader = np.lib.format.read_array_header_1_0 if major == 1 else np.lib.format.read_array_header_2_0
        shape, is_fortran, dtype = reader(file)
    except Exception as error:  # NumPy parses the header as Python
        if is_transient(error):
            raise
        raise BadSource(f"cannot be read: {' '.join(str(error).split())}") from None
    if dtype.hasobject or dtype.names or dtype.subdtype:
        raise BadSource(f"holds {dtype}, not numbers; save the array as plain numbers or texts")
    if not all(type(side) is int and side >= 0 for side in shape):
        raise BadSource(f"declares the shape {shape}, which no array has")
    return dtype, shape, is_fortran


def list_members(path: Path, file: Any) -> list[StoredArray]:
    """The arrays of an open .npz file, which is at `path`. Raises BadSource."""
    arrays = []
    with readable(path), zipfile.ZipFile(file) as archive:
        for item in archive.infolist():
            if not item.filename.endswith(".npy"):
                continue
            try:
                with archive.open(item) as member:
                    header = read_npy_header(member)[:2]
                arrays.append(StoredArray(path, item.filename.removesuffix(".npy"), "npz", *header))
            except BadSource as error:
                raise BadSource(f"{path.name}: the array {item.filename.removesuffix('.npy')} {error}") from None
    if not arrays:
        raise BadSource(f"{path.name} holds no array")
    return arrays


def _unpack_member(array: StoredArray, plain: Path, max_bytes: int) -> None:
    with zipfile.ZipFile(array.path) as archive:
        item = archive.getinfo(f"{array.member}.npy")
        if item.file_size > max_bytes:
            raise BadSource(f"{array.path.name} unpacks to more than {max_bytes:,} bytes")
        with archive.open(item) as source, plain.open("wb") as target:  # never more than the declared size, CRC checked
            shutil.copyfileobj(source, target, idx.BLOCK)
