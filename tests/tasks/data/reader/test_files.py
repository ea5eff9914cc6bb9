"""A file is what its content says, and what its name says where the content is damaged."""

import errno
import gzip
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from artifacts.errors import UsageError
from tasks.data import idx
from tasks.data.images import SUFFIXES
from tasks.data.reader.files import count_left_out, is_system_file, kind_of, natural_key, walk
from tests.pictures import seven

IMAGES, LABELS = idx.encode(np.zeros((2, 4, 4), np.uint8)), idx.encode(np.zeros(2, np.uint8))


def picture(kind: str) -> bytes:
    Image.fromarray(seven(28)).save(buffer := io.BytesIO(), kind)
    return buffer.getvalue()


def npy() -> bytes:
    np.save(buffer := io.BytesIO(), np.zeros((2, 4, 4)))
    return buffer.getvalue()


def npz() -> bytes:
    np.savez(buffer := io.BytesIO(), images=np.zeros((2, 4, 4)))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        *(
            (f"scan.{kind.lower()}x", picture(kind), "picture")
            for kind in ("PNG", "JPEG", "BMP", "WEBP", "TIFF", "GIF")
        ),
        *((f"scan{suffix.upper()}", b"damaged", "picture") for suffix in SUFFIXES),
        ("a", IMAGES, "idx images"),
        ("train-labels-of-a", IMAGES, "idx images"),
        ("b", gzip.compress(LABELS, mtime=0), "idx labels"),
        ("t10k-images.idx3-ubyte.gz", b"damaged", "idx images"),
        ("T10K-LABELS-IDX1-UBYTE", b"", "idx labels"),
        ("a.dat", npy(), "npy"),
        ("a.npy.gz", gzip.compress(npy(), mtime=0), "npy"),
        ("a.zip", npz(), "npz"),
        ("a.npz", b"", "npz"),
        ("a.CSV", b"", "table"),
        ("a.txt", b"file,label", None),
        ("a.pdf", b"%PDF-1.7", None),
        ("BMW", b"BMW drives", None),
    ],
)
def test_kinds(name: str, content: bytes, kind: str | None, tmp_path: Path) -> None:
    """Each kind is known by its first bytes; a damaged file is of the kind that its name promises."""
    (tmp_path / name).write_bytes(content)
    assert kind_of(tmp_path / name) == kind


def test_heic_is_a_picture_with_its_extra(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """A phone's HEIC is a picture, by its name or its content, if the extra is installed; and else not read."""
    (tmp_path / "a.HEIC").write_bytes(b"damaged")
    (tmp_path / "scan").write_bytes(b"\0\0\0\x18ftypheic")
    assert [kind_of(tmp_path / name) for name in ("a.HEIC", "scan")] == ["picture"] * 2
    request.getfixturevalue("without_heic")
    assert [kind_of(tmp_path / name) for name in ("a.HEIC", "scan")] == [None] * 2


@pytest.mark.parametrize("name", [".a.png", "._a.png", "__MACOSX", "Thumbs.db", "DESKTOP.INI", "~$a.csv", "Icon\r"])
def test_what_systems_leave(name: str) -> None:
    """Files that macOS, Windows and Office leave beside data are no data."""
    assert is_system_file(name) and not is_system_file(f"a{name.lstrip('.~_')}")


def test_names_are_sorted_as_people_do() -> None:
    """Numbers in names count as numbers."""
    names = ["digit 10", "digit 9", "b", "a2", "a10", "²", "digit 9b"]
    assert sorted(names, key=natural_key) == ["a2", "a10", "b", "digit 9", "digit 9b", "digit 10", "²"]


def test_links_do_not_lead_in_circles(tmp_path: Path) -> None:
    """A linked folder is walked, but not one that leads back to where the walk came from."""
    (tmp_path / "data" / "real").mkdir(parents=True)
    (tmp_path / "data" / "real" / "a.png").touch()
    (tmp_path / "data" / "linked").symlink_to(tmp_path / "data" / "real")
    (tmp_path / "data" / "real" / "back").symlink_to(tmp_path / "data")
    assert [path.parent.name for path in walk(tmp_path / "data")] == ["linked", "real"]


def test_left_out_is_one_line() -> None:
    """What is left out is counted by suffix, in one line; nothing is nothing to say."""
    assert count_left_out([]) == ""
    assert count_left_out(["a.txt"]) == "left out: 1 file: .txt 1"
    assert count_left_out(["a.B", "c.b", "d"]) == "left out: 3 files: .b 2, without a suffix 1"


def test_a_locked_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that may not be read is a request that cannot be met, with what to do."""

    def locked(path: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "iterdir", locked)
    with pytest.raises(UsageError, match="cannot be read: Permission denied; make it readable"):
        walk(tmp_path)
