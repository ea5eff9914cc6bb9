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


def as_csv(images: np.ndarray) -> str:
    rows = [",".join(f"pixel{i}" for i in range(images[0].size)), *(",".join(map(str, i.ravel())) for i in images)]
    return "\n".join(rows)


@pytest.mark.parametrize("kind", ["rows", "one row", "shares", "floats", "int64", "bits", "channels", "npz", "csv"])
def test_arrays_with_one_meaning(kind: str, tmp_path: Path, digits: Arrays) -> None:
    """Images come as rows of pixels, as other numbers or in other files too; shards of a file give the same images."""
    images = digits[0][: 1 if kind == "one row" else 5]
    arrays = {
        "rows": images.reshape(len(images), -1),
        "one row": images.reshape(1, -1),
        "shares": images / 255,
        "floats": images.astype(np.float32),
        "int64": images.astype(np.int64),
        "bits": images.astype(np.uint16) << 4,
        "channels": np.repeat(images[:, np.newaxis], 3, axis=1),
    }
    if kind == "npz":
        np.savez_compressed(tmp_path / "images.npz", x_test=images, y_test=digits[1][:5])
    elif kind == "csv":
        (tmp_path / "images.csv").write_text(as_csv(images))
    else:
        np.save(tmp_path / "images.npy", arrays[kind])
    (path,) = list_files([str(tmp_path)])
    scratch = tmp_path / ".scratch"
    scratch.mkdir()
    items = loaded(path, scratch)
    np.testing.assert_array_equal([item.image.pixels for item in items if item.image], images)
    spoken = {
        "rows": "rows of 64 values",
        "shares": "0 to 1 made 0 to 255",
        "bits": "12 of 16 bits",
        "channels": "grey",
    }
    assert spoken.get(kind, "") in "; ".join(items[0].image.changes if items[0].image else ())
    parts = [read_images(path, path.name, scratch, max_bytes=LIMIT, start=i, stop=i + 2) for i in (0, 2, 4)]
    assert [item.name for part in parts for item in part] == [item.name for item in items]


def test_a_picture_as_wide_as_a_square_number(tmp_path: Path) -> None:
    """A table whose rows continue each other is one picture, even if a row has as many values as a square image."""
    picture = np.add.outer(np.arange(100), np.arange(256) // 2).clip(0, 255).astype(np.uint8)
    np.save(tmp_path / "picture.npy", picture)
    (item,) = loaded(tmp_path / "picture.npy", tmp_path)
    assert item.image and item.image.pixels.shape == (100, 256)


@pytest.mark.usefixtures("without_heic")
def test_what_systems_leave_does_not_count(tmp_path: Path, digits: Arrays) -> None:
    """Hidden and system files are passed over without a word; other files that are no images are named."""
    for name in (
        "a.png",
        "._a.png",
        ".DS_Store",
        "Thumbs.db",
        "desktop.ini",
        "__MACOSX/._a.png",
        "notes.txt",
        "b.heic",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"\0\x05\x16\x07")
    (tmp_path / "labels.csv").write_text("file,label\na.png,1\n")
    left_out: list[str] = []
    assert [path.name for path in list_files([str(tmp_path)], left_out)] == ["a.png"]
    assert left_out == ["b.heic", "labels.csv", "notes.txt"]


def test_content_counts_before_the_name(tmp_path: Path, digits: Arrays) -> None:
    """A picture without a suffix and an array called .dat are found in a folder and read as what they are."""
    Image.fromarray(digits[0][0]).save(tmp_path / "scan", "PNG")
    np.save((tmp_path / "many.dat").open("wb"), digits[0][:3])
    files = list(list_files([str(tmp_path)]))
    assert [len(loaded(path, tmp_path)) for path in files] == [3, 1]


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
        (b"", "image, but empty"),
        (b"\0\0\x08\x03\0\0\0\x01\0\0\0\x08\0\0\0\x08xx", "declares"),
        (gzip.compress(b"\0\0\x08\x03" + bytes(2 * LIMIT), mtime=0), "unpacks to more"),
        (gzip.compress(bytes(2 * LIMIT), mtime=0), "no PNG"),
        (gzip.compress(b"\0\0\x08\x03", mtime=0)[:-3], "not a whole gzip"),
        (npy("(1,)", "'|O'") + pickle.dumps(Trap()), "not numbers"),
        (b"\x93NUMPY\x01\0", "cannot be read"),
        (npy("(99999999999999999999999, 28, 28)"), "but holds 0"),
        (npy("(-5, 28, 28)"), "which no array has"),
        (npy("(True, 28, 28)"), "which no array has"),
        (npy("(99999999999, 0, 5)"), "which no images have"),
        (npy("(0, 28, 28)"), "which no images have"),
        (idx.encode(np.zeros((0, 28, 28), np.uint8)), "which no images have"),
        (npy("(2,)", "('|u1', (28, 28))"), "not numbers"),
        (npy("(2,)") + b"xx", "not (n, height, width)"),
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


@pytest.mark.parametrize("values", [(-0.5, 0.5), (0.0, 300.5), (0.0, np.nan), (-1, 3)])
def test_unknown_ranges_are_refused(values: tuple[float, float], tmp_path: Path) -> None:
    """Numbers that are neither bytes nor shares of white are refused, with the values that were found."""
    np.save(tmp_path / "odd.npy", np.resize(np.array(values), (2, 8, 8)))
    (item,) = loaded(tmp_path / "odd.npy", tmp_path)
    assert item.image is None and ("nor numbers of 0 to 255" in item.error or "no finite" in item.error)
    assert "No such file" in loaded(tmp_path / "gone.png", tmp_path)[0].error
