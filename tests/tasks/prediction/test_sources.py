"""Every kind of file gives its images in their order; a bad one gives an error in its place."""

import gzip
import io
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tasks.data import idx
from tasks.prediction.sources import IMAGE_FILES, LoadedImage, count_images, list_files, read_images
from tests.conftest import Arrays

LIMIT = 10**6


def loaded(path: Path, scratch: Path) -> list[LoadedImage]:
    return list(read_images(path, path.name, scratch, max_bytes=LIMIT))


@pytest.mark.parametrize("kind", ["npy", "npy-4d", "npy-16", "npy-fortran", "idx", "idx.gz"])
def test_arrays(kind: str, tmp_path: Path, digits: Arrays) -> None:
    """Arrays and IDX files give the same images, numbered; their number is known from the start of the file."""
    images, path = digits[0][:5], tmp_path / "images"
    contents = {"npy": images, "npy-4d": images[..., None], "npy-16": images.astype(np.uint16) * 256}
    contents["npy-fortran"] = np.asfortranarray(images)
    if kind in contents:
        np.save(buffer := io.BytesIO(), contents[kind])
        path.write_bytes(buffer.getvalue())
    else:
        path.write_bytes(gzip.compress(idx.encode(images)) if kind == "idx.gz" else idx.encode(images))
    items = loaded(path, tmp_path)
    assert [item.name for item in items] == [f"images[{i}]" for i in range(5)]
    np.testing.assert_array_equal([item.image.pixels for item in items if item.image], images)
    with path.open("rb") as file:
        assert count_images(file, path.stat().st_size) == 5


def test_folders(tmp_path: Path, digits: Arrays) -> None:
    """A folder stands for the image files in and below it, by name, without labels and other files."""
    (tmp_path / "below").mkdir()
    for name in ("b.png", "a.bmp", "below/c.jpg"):
        Image.fromarray(digits[0][0]).save(tmp_path / name)
    for name in ("notes.txt", "train-labels-idx1-ubyte"):
        (tmp_path / name).write_text("x")
    (tmp_path / "d.png").symlink_to("nowhere")
    assert [path.name for path in list_files([str(tmp_path)])] == ["a.bmp", "b.png", "c.jpg", "d.png"]
    (tmp_path / "empty").mkdir()
    (empty,) = list_files([str(tmp_path / "empty")])
    assert f"has no {IMAGE_FILES}" in loaded(empty, tmp_path)[0].error


@pytest.mark.parametrize("name", ["x\0.png", "x" * 300, "nowhere/x.png"])
def test_unusable_names(name: str, tmp_path: Path) -> None:
    """A name that no file can have gives an error, as does a file that is not there."""
    (path,) = list_files([name])
    (item,) = loaded(path, tmp_path)
    assert item.image is None and item.error.startswith("cannot be read")


def npy(shape: str, kind: str = "'|u1'") -> bytes:
    """An .npy file of which there is only the header."""
    header = f"{{'descr': {kind}, 'fortran_order': False, 'shape': {shape}}}".encode()
    return b"\x93NUMPY\x01\0" + len(header).to_bytes(2, "little") + header


class Trap:
    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (Path("trapped"),)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"nonsense", "no PNG"),
        (b"", "no PNG"),
        (b"\0\0\x08\x03\0\0\0\x01\0\0\0\x08\0\0\0\x08xx", "declares"),
        (gzip.compress(bytes(2 * LIMIT), mtime=0), "unpacks to more"),
        (gzip.compress(b"\0\0\x08\x03", mtime=0)[:-3], "not a whole gzip"),
        (npy("(1,)", "'|O'") + pickle.dumps(Trap()), "not uint8"),
        (b"\x93NUMPY\x01\0", "cannot be read"),
        (npy("(99999999999999999999999, 28, 28)"), "does not hold"),
        (npy("(-5, 28, 28)"), "which no images have"),
        (npy("(True, 28, 28)"), "which no images have"),
        (npy("(99999999999, 0, 5)"), "which no images have"),
        (npy("(0, 28, 28)"), "which no images have"),
        (idx.encode(np.zeros((0, 28, 28), np.uint8)), "declares 0 images"),
        (npy("(2,)", "('|u1', (28, 28))"), "not uint8"),
        (npy("{{'a'}, 'b'}"), "cannot be read"),
    ],
)
def test_bad_files(content: bytes, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A damaged, oversized or malicious file is one error, and no pickle is loaded."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad").write_bytes(content)
    (item,) = loaded(tmp_path / "bad", tmp_path)
    assert item.image is None and problem in item.error
    assert not Path("trapped").exists()


def test_floats_are_refused(tmp_path: Path) -> None:
    """Floats, whose range is unknown, are refused, as is a file that is not there."""
    np.save(tmp_path / "floats.npy", np.zeros((2, 8, 8), np.float32))
    assert "not uint8" in loaded(tmp_path / "floats.npy", tmp_path)[0].error
    assert "No such file" in loaded(tmp_path / "gone.png", tmp_path)[0].error
