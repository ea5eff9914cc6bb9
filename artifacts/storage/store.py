"""Content-addressed artifacts: steps exchange small references; the store keeps the bytes and verifies them."""

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, Field

from artifacts.errors import ArtifactLost
from artifacts.storage.home import OBJECTS, TEMPORARY, disk_errors
from artifacts.storage.remote import Remote

if TYPE_CHECKING:
    import numpy

Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Kind = Literal["npy", "json", "weights.h5", "html"]

_verified: dict[Path, tuple[int, int, int]] = {}


class Ref(BaseModel, frozen=True):
    """What an artifact is: the SHA-256 of its bytes, their kind and, for arrays, shape and dtype."""

    sha256: Digest
    kind: Kind
    shape: tuple[int, ...] = ()
    dtype: str = ""

    @property
    def name(self) -> str:
        return f"{self.sha256[:2]}/{self.sha256[2:]}.{self.kind}"


def references(value: Any) -> Iterator[Ref]:
    """Every reference in a JSON value."""
    if isinstance(value, dict):
        if "sha256" in value:
            yield Ref.model_validate(value)
        else:
            value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from references(item)


class Location:
    """Says where something is, not what it is. An argument of this type is never part of a cache key."""


@dataclass(frozen=True)
class Store(Location):
    """The artifacts and cache entries of a home; nothing else is needed to reuse results.

    With a `remote`, the store copies each artifact and entry there too, and fetches from there what the home lacks.
    """

    home: Path
    remote: Remote | None = None

    def put(self, array: "numpy.ndarray") -> Ref:
        """Store an array as NPY, C-ordered."""
        from artifacts.storage.arrays import chunks

        return self.put_chunks(array.shape, array.dtype, chunks(array))

    def put_chunks(self, shape: tuple[int, ...], dtype: "numpy.dtype[Any]", parts: "Iterable[numpy.ndarray]") -> Ref:
        """Store an array from slices along its first axis, one in memory at a time."""
        import numpy as np

        dtype = np.dtype(dtype)
        with self.scratch() as folder, _Hashed(folder / "array") as file:
            header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)
            for part in parts:
                file.write(np.ascontiguousarray(part, dtype).data.cast("B") if part.size else b"")
            return self._keep(file, "npy", shape, dtype.name)

    def put_bytes(self, data: bytes, kind: Kind) -> Ref:
        """Store bytes as they are."""
        with self.scratch() as folder, _Hashed(folder / "bytes") as file:
            file.write(data)
            return self._keep(file, kind)

    def put_json(self, value: object) -> Ref:
        """Store a JSON value in canonical form: equal values are one artifact."""
        return self.put_bytes(canonical_json(value), "json")

    def get(self, ref: Ref) -> "numpy.ndarray":
        """The array behind `ref`, memory-mapped and read-only. Raises ArtifactLost."""
        import numpy as np

        array: np.ndarray = np.load(self.path(ref), mmap_mode="r", allow_pickle=False)
        return array

    def get_json(self, ref: Ref) -> Any:
        """The JSON value behind `ref`. Raises ArtifactLost."""
        return json.loads(self.path(ref).read_bytes())

    def path(self, ref: Ref) -> Path:
        """A file with exactly the bytes of `ref`, verified once a process unless it changes. Raises ArtifactLost."""
        path = self.home / OBJECTS / ref.name
        flaw = _flaw(path, ref)
        if flaw and self.remote:
            flaw = self._repair(path, ref, self.remote)
        if flaw:
            raise ArtifactLost(f"{path} cannot be used: {flaw}; run again to compute it")
        _mark_used(path)
        return path

    def holds(self, ref: Ref) -> bool:
        """Whether the store has the bytes of `ref`, intact."""
        try:
            return bool(self.path(ref))
        except ArtifactLost:
            return False

    @contextlib.contextmanager
    def scratch(self) -> Iterator[Path]:
        """A temporary folder on the disk of the home. Inside, disk errors become DigitflowErrors."""
        with disk_errors(self.home):
            (self.home / TEMPORARY).mkdir(parents=True, exist_ok=True)
            folder = Path(tempfile.mkdtemp(dir=self.home / TEMPORARY))
            try:
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)

    def write(self, name: str, data: bytes) -> Path:
        """Write `home/name` atomically: readers see all the old bytes or all the new ones."""
        path = self.home / name
        with self.scratch() as folder, _Hashed(folder / "file") as file:
            file.write(data)
            file.sync()
            _place(file.path, path)
        return path

    def read(self, name: str) -> bytes | None:
        """The bytes of `home/name`, not verified; None if the file cannot be read."""
        try:
            return (self.home / name).read_bytes()
        except OSError:
            return None

    def fetch(self, name: str) -> bytes | None:
        """Copy `name` from the shared store to the home and return its bytes, not verified.

        None if there is no shared store, or it does not have the file.
        """
        if not self.remote:
            return None
        with self.scratch() as folder:
            if not self.remote.pull(name, folder / "new"):
                return None
            _place(folder / "new", self.home / name)
        return self.read(name)

    def export(self, ref: Ref, name: str) -> Path:
        """Copy an artifact to `home/name` atomically, for people and other programs. Raises ArtifactLost."""
        return self.write(name, self.path(ref).read_bytes())

    def _repair(self, path: Path, ref: Ref, remote: Remote) -> str:
        """Replace a flawed file by the copy in the shared store. Returns why that failed, or ""."""
        with self.scratch() as folder:
            if not remote.pull(f"{OBJECTS}/{ref.name}", folder / "new"):
                return "it is not in the shared store"
            flaw = _flaw(folder / "new", ref)
            if not flaw:
                _place(folder / "new", path)
            return flaw

    def _keep(self, file: "_Hashed", kind: Kind, shape: tuple[int, ...] = (), dtype: str = "") -> Ref:
        ref = Ref(sha256=file.digest.hexdigest(), kind=kind, shape=shape, dtype=dtype)
        path = self.home / OBJECTS / ref.name
        if _flaw(path, ref):
            file.sync()
            _place(file.path, path)
            _verified[path] = _stamp(path)
        _mark_used(path)
        if self.remote:
            self.remote.push(path, f"{OBJECTS}/{ref.name}")
        return ref


def _flaw(path: Path, ref: Ref) -> str:
    """Why the file is not the artifact `ref`, or ""."""
    try:
        if _verified.get(path) != (stamp := _stamp(path)):
            with path.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != ref.sha256:
                    return "its bytes are damaged"
            _verified[path] = stamp
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _mark_used(path: Path) -> None:
    """Set the access time to now. Eviction removes the least recently used files first."""
    with contextlib.suppress(OSError):
        os.utime(path, ns=(time.time_ns(), path.stat().st_mtime_ns))


def _stamp(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return status.st_mtime_ns, status.st_size, status.st_ino


def _place(new: Path, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    new.replace(path)


class _Hashed:
    """A new file whose SHA-256 is computed while it is written."""

    def __init__(self, path: Path):
        self.path = path
        self.digest = hashlib.sha256()
        self._file: IO[bytes] = path.open("wb")

    def __enter__(self) -> "_Hashed":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, data: bytes | memoryview) -> int:
        self.digest.update(data)
        return self._file.write(data)

    def sync(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())


def canonical_json(value: object) -> bytes:
    """JSON with sorted keys and no spaces: equal values have equal bytes. Raises ValueError on NaN and infinity."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
