"""Tables are read as spreadsheets and Kaggle write them; what is missing is quoted with its row."""

from pathlib import Path

import numpy as np
import pytest

from artifacts.errors import BadSource
from tasks.data.reader.tables import numbers_or_names, read_file_labels, read_table, unpack_pixels
from tests.conftest import Arrays
from tests.tasks.data.reader.conftest import LIMIT, pixel_table


@pytest.mark.parametrize(("header", "delimiter"), [(True, ","), (False, ","), (True, ";"), (False, "\t")])
def test_pixels(header: bool, delimiter: str, digits: Arrays, tmp_path: Path) -> None:
    """A row of pixels a label comes out as images and labels, with a header or without."""
    path = pixel_table(tmp_path / "train.csv", digits[0][:30], digits[1][:30], header, delimiter)
    plain, labels = unpack_pixels(read_table(path), tmp_path / "values", LIMIT)
    np.testing.assert_array_equal(plain.whole(), digits[0][:30])
    np.testing.assert_array_equal(labels, digits[1][:30])


def test_label_in_the_last_column_and_ids(digits: Arrays, tmp_path: Path) -> None:
    """The label may stand last and the first column be an id: names tell, not places."""
    rows = [
        f"{i},{','.join(map(str, image.ravel()))},{label}.0"
        for i, (image, label) in enumerate(zip(*digits[:2], strict=True))
    ]
    (tmp_path / "a.csv").write_text("\n".join([f"Id,{','.join(f'p{i}' for i in range(64))},Class", *rows]))
    plain, labels = unpack_pixels(read_table(tmp_path / "a.csv"), tmp_path / "values", LIMIT)
    np.testing.assert_array_equal(plain.whole(), digits[0])
    np.testing.assert_array_equal(labels, digits[1])


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (["1," + ",".join(["0"] * 63)], "lacks values in row 1"),
        (["1," + ",".join(["0"] * 64), "," + ",".join(["0"] * 64)], "no label in row 2"),
        (["1," + ",".join(["x"] * 64)], "cannot be read"),
        ([], "has a header and no rows"),
    ],
)
def test_incomplete_pixels(rows: list[str], words: str, tmp_path: Path) -> None:
    """A row without a value or label, and a table without rows, are refused, with the row."""
    (tmp_path / "a.csv").write_text("\n".join([f"label,{','.join(f'p{i}' for i in range(64))}", *rows]))
    with pytest.raises(BadSource, match=words):
        unpack_pixels(read_table(tmp_path / "a.csv"), tmp_path / "values", LIMIT)


def test_labels_are_text(tmp_path: Path) -> None:
    """A label is the text that the table has, wherever it stands in a long file; only an empty one is missing."""
    labels = [code for code in ("01", "1", "0A", "NA", "null", "1.50") for _ in range(3_000)]
    pixels = ",".join(["0"] * 64)
    rows = [f"label,{','.join(f'p{i}' for i in range(64))}", *(f"{label} ,{pixels}" for label in labels)]
    (tmp_path / "a.csv").write_text("\n".join(rows))
    _, found = unpack_pixels(read_table(tmp_path / "a.csv"), tmp_path / "values", LIMIT)
    assert found is not None and found.tolist() == labels


def test_large_tables_stop_at_the_limit(digits: Arrays, tmp_path: Path) -> None:
    """A table that unpacks to more than the limit is refused."""
    path = pixel_table(tmp_path / "train.csv", digits[0][:30], digits[1][:30])
    with pytest.raises(BadSource, match="unpacks to more than 1,000 bytes"):
        unpack_pixels(read_table(path), tmp_path / "values", 1000)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"name;value\na.png;1", "its first row is 'name', 'value'"),
        (b"file,label\na.png,\n", "no label in row 2: 'a.png,'"),
        (b"file,label\na.png\n", "no label in row 2: 'a.png'"),
        (b"file,label\n\n", "names no file"),
        (b"", "is empty, or no text"),
        (b"\0\1\2\3", "is empty, or no text"),
    ],
)
def test_unusable_label_tables(content: bytes, words: str, tmp_path: Path) -> None:
    """The header or the row that cannot be understood is quoted."""
    (tmp_path / "labels.csv").write_bytes(content)
    with pytest.raises(BadSource, match=words):
        read_file_labels(read_table(tmp_path / "labels.csv"))


def test_old_encodings(tmp_path: Path) -> None:
    """A table that is no UTF-8 is read as Windows wrote it."""
    (tmp_path / "labels.csv").write_bytes("file;label\nzwölf.png;zwölf\n".encode("cp1252"))
    assert read_file_labels(read_table(tmp_path / "labels.csv")) == [("zwölf.png", "zwölf", "")]


def test_numbers_and_names() -> None:
    """Texts are numbers only if all of them are whole."""
    assert numbers_or_names(["6", "7.0", "8,0"]).tolist() == [6, 7, 8]
    assert numbers_or_names(["6", "7.5"]).tolist() == ["6", "7.5"]
    assert numbers_or_names(["6", "cat"]).tolist() == ["6", "cat"]
