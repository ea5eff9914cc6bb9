"""An artifact comes back with the same bytes, is stored once, and is never half there."""

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from artifacts.errors import ArtifactLost, DigitflowError
from artifacts.storage.store import Store, canonical_json

SHARED = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
DTYPES = hnp.boolean_dtypes() | hnp.integer_dtypes() | hnp.unsigned_integer_dtypes() | hnp.floating_dtypes()
ARRAYS = hnp.arrays(DTYPES, hnp.array_shapes(max_dims=4, min_side=0, max_side=5))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=4,
)


def objects(store: Store) -> list[Path]:
    return [path for path in (store.home / "objects").rglob("*") if path.is_file()]


def leftovers(store: Store) -> list[Path]:
    return list((store.home / "tmp").iterdir())


@SHARED
@given(ARRAYS, st.booleans())
def test_arrays_come_back(store: Store, array: np.ndarray, turned: bool) -> None:
    """An array of any type, shape and memory order comes back with the same bytes, memory-mapped and read-only."""
    array = array.T if turned else array
    ref = store.put(array)
    back = store.get(ref)
    assert (back.dtype, back.shape, back.tobytes()) == (array.dtype, array.shape, array.tobytes())
    assert (ref.shape, ref.dtype) == (array.shape, array.dtype.name)
    assert isinstance(back, np.memmap) and not back.flags.writeable


@SHARED
@given(ARRAYS, st.data())
def test_chunks_do_not_show(store: Store, array: np.ndarray, data: st.DataObject) -> None:
    """An array that is stored in slices has the reference of the whole, wherever it is cut."""
    cuts = sorted(data.draw(st.lists(st.integers(0, len(array)))))
    parts = [array[i:j] for i, j in zip([0, *cuts], [*cuts, len(array)], strict=True)]
    assert store.put_chunks(array.shape, array.dtype, parts) == store.put(array)


@SHARED
@given(JSON, st.binary())
def test_json_and_bytes_come_back(store: Store, value: object, data: bytes) -> None:
    """JSON values and bytes come back as they were."""
    assert store.get_json(store.put_json(value)) == value
    assert store.path(store.put_bytes(data, "html")).read_bytes() == data


@SHARED
@given(st.dictionaries(st.text(), JSON))
def test_order_of_keys_does_not_count(value: dict[str, object]) -> None:
    """Dicts that differ only in the order of their keys have the same canonical bytes."""
    assert canonical_json(dict(reversed(value.items()))) == canonical_json(value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"loss": [float("nan")]}])
def test_json_is_finite(value: object, store: Store) -> None:
    """Numbers that JSON does not have are refused, and nothing is stored."""
    with pytest.raises(ValueError, match="not JSON compliant"):
        store.put_json(value)
    assert not objects(store)


def test_equal_content_is_one_file(store: Store) -> None:
    """Equal content is stored once, and no temporary file stays behind."""
    array = np.arange(12)
    assert store.put(array) == store.put(array.copy())
    assert len(objects(store)) == 1 and not leftovers(store)


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: os.truncate(path, 50), _flip])
def test_damage_is_noticed_and_repaired(damage: Callable[[Path], None], store: Store) -> None:
    """Bytes that are deleted, truncated or flipped are never served, and storing the artifact again repairs it."""
    array = np.arange(100)
    ref = store.put(array)
    damage(store.path(ref))
    with pytest.raises(ArtifactLost, match=r"run again"):
        store.get(ref)
    assert not store.holds(ref)
    assert store.put(array) == ref
    assert np.array_equal(store.get(ref), array)


def test_failure_leaves_nothing(store: Store) -> None:
    """When the source of the chunks fails, its error comes through, and neither object nor temporary file stays."""

    def chunks() -> Iterator[np.ndarray]:
        yield np.zeros(5)
        raise RuntimeError("source broke")

    with pytest.raises(RuntimeError, match="source broke"):
        store.put_chunks((10,), np.dtype(float), chunks())
    assert not objects(store) and not leftovers(store)


INTERRUPTED = """
import sys, time
from pathlib import Path
import numpy as np
from artifacts.storage.store import Store

def chunks():
    yield np.zeros(10**6)
    print("half", flush=True)
    time.sleep(600)

Store(Path(sys.argv[1])).put_chunks((2 * 10**6,), np.dtype(float), chunks())
"""


def test_kill_leaves_no_object(store: Store) -> None:
    """A process that is killed in the middle of a write leaves no object, and the next write succeeds."""
    command = [sys.executable, "-c", INTERRUPTED, str(store.home)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout and process.stdout.readline() == "half\n"
        process.send_signal(signal.SIGKILL)
    assert not objects(store)
    assert store.holds(store.put(np.zeros(2 * 10**6)))


def test_written_files_are_replaced_whole(store: Store) -> None:
    """A named file is replaced by its new bytes, and an exported artifact has the artifact's bytes."""
    assert store.write("runs/a/file", b"old").read_bytes() == b"old"
    assert store.write("runs/a/file", b"new").read_bytes() == b"new"
    ref = store.put_bytes(b"weights", "weights.h5")
    assert store.export(ref, "models/best").read_bytes() == b"weights"


@pytest.mark.parametrize("blocked", [".", "tmp", "objects"])
def test_blocked_home_is_one_error(blocked: str, store: Store) -> None:
    """If a file has the name of a folder of the home, the error says which home cannot be written and what to do."""
    path = store.home / blocked
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("in the way")
    with pytest.raises(DigitflowError, match=rf"cannot write {store.home}.*DIGITFLOW_HOME"):
        store.put(np.arange(3))


@pytest.mark.parametrize("call", ["replace", "fsync"])
def test_full_disk_is_one_error(call: str, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk is one clear error, after which nothing half-written stays."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, call, full)
    with pytest.raises(DigitflowError, match="No space left on device; free some space"):
        store.put(np.arange(3))
    assert not objects(store) and not leftovers(store)
