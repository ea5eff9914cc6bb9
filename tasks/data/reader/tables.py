"""What does a table hold: the pixels of an image a row, as Kaggle's do, or the label of each file of pictures?"""

import csv
import io
import math
import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from artifacts.errors import BadSource
from artifacts.storage.arrays import CHUNK
from tasks.data.reader.arrays import PlainArray, readable
from tasks.data.reader.convert import MIN_ROW_SIDE
from tasks.data.reader.files import HEAD

FILE_COLUMNS = ("file", "filename", "file_name", "file name", "image", "image_name", "path", "filepath", "picture")
LABEL_COLUMNS = ("label", "labels", "class", "target", "digit", "category", "class_name", "y")
SPLIT_COLUMNS = ("split", "usage", "set", "subset", "partition")
_OTHER_COLUMNS = ("", "id", "index", "usage", "unnamed: 0", "split")
"""Columns that tables of pixels have besides pixels and labels."""
_NUMBER_COLUMNS = ("id", "index", "")
"""Columns that name files where no column says that it does, as in 17 for 17.png."""
_NO_VALUE = ("", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "null", "NULL", "None")
"""How programs write a pixel that is missing."""
_DELIMITERS = ",;\t|"
_DECIMAL_COMMA = re.compile(r"\d,\d")
SAMPLE = 64
"""Rows that tell how a table is written."""
_MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"\xef\xbb\xbf": "utf-8-sig"}


class FileLabel(NamedTuple):
    """A row of a table of labels: the name of a file, its label as text, and what a column says of its split, if one
    does.
    """

    file: str
    label: str
    split: str = ""


class Table(NamedTuple):
    """How a table is written. `columns` is its first row, which holds their names if it `has_header`.

    `skipped` lines come before it: blank ones, or Excel's "sep=;". `ends_with_label`: where no column is called so, the
    last one is the label, and not the first.
    """

    path: Path
    encoding: str
    delimiter: str
    columns: tuple[str, ...]
    has_header: bool
    skipped: int = 0
    decimal: str = "."
    ends_with_label: bool = False

    def named(self, names: tuple[str, ...]) -> int | None:
        """The number of the first column with one of the names, however they are written."""
        found = [i for i, column in enumerate(self.columns) if column.strip().lower() in names]
        return found[0] if found and self.has_header else None

    @property
    def files(self) -> int | None:
        """The number of the column that names files."""
        named = self.named(FILE_COLUMNS)
        return self.named(_NUMBER_COLUMNS) if named is None else named

    @property
    def label(self) -> int | None:
        """The number of the column with the labels: the one called so, or the first or last of a square and one."""
        named = self.named(LABEL_COLUMNS)
        if named is not None:
            return named
        numbered = [i for i in self._unnamed if _is_number(self.columns[i])]
        if len(numbered) < len(self._unnamed) or not is_square(len(numbered) - 1):
            return None
        return numbered[-1 if self.ends_with_label else 0]

    @property
    def is_label_assumed(self) -> bool:
        """Whether nothing but its place tells which column is the label."""
        return self.label is not None and self.named(LABEL_COLUMNS) is None

    @property
    def pixels(self) -> list[int]:
        """The numbers of the columns that hold pixels; none if their number is not that of a square's pixels."""
        columns = [i for i in self._unnamed if i != self.label]
        return columns if is_square(len(columns)) else []

    @property
    def _unnamed(self) -> list[int]:
        """The columns that are not called as an index or the like."""
        names = _OTHER_COLUMNS if self.has_header else ()
        return [i for i, name in enumerate(self.columns) if name.strip().lower() not in names]

    @property
    def header(self) -> str:
        """The first columns, for messages."""
        more = f" and {len(self.columns) - 6} more" if len(self.columns) > 6 else ""
        return f"{', '.join(repr(column) for column in self.columns[:6])}{more}"


def is_square(count: int) -> bool:
    """Whether so many values are the pixels of a square image of a sensible size."""
    return count >= MIN_ROW_SIDE**2 and math.isqrt(count) ** 2 == count


def read_table(path: Path) -> Table:
    """Find out how a table is written. Raises BadSource if it is empty or no text."""
    with readable(path), path.open("rb") as file:
        table = table_in(file.read(HEAD), path)
    if table is None:
        raise BadSource(f"{path.name} is empty, or no text")
    is_cp1252 = table.encoding == "utf-8" and not _is_utf8(path)
    return table._replace(encoding="cp1252") if is_cp1252 else table


def table_in(head: bytes, path: Path) -> Table | None:
    """The table whose file begins with the bytes `head`, with the columns that are there; None if that is no text."""
    encoding = next((name for mark, name in _MARKS.items() if head.startswith(mark)), "utf-8")
    text = head.decode(encoding, errors="ignore")
    lines = text.splitlines()
    skipped = next((i for i, line in enumerate(lines) if line.strip() and not line.lower().startswith("sep=")), None)
    if skipped is None or "\0" in text:
        return None
    first = lines[skipped]
    delimiter = max(_DELIMITERS, key=first.count)
    if delimiter not in first and is_square(first.strip().count(" ")):
        delimiter = " "
    columns, *rows = csv.reader(lines[skipped : skipped + SAMPLE], delimiter=delimiter, skipinitialspace=True)
    may_be_pixels = all(map(_is_number, columns))
    is_image = is_square(len(columns) - 1) or is_square(len(columns))
    return Table(
        path,
        encoding,
        delimiter,
        tuple(columns),
        has_header=not may_be_pixels or (is_image and _is_count(columns)),
        skipped=skipped,
        decimal="," if delimiter == ";" and any(map(_DECIMAL_COMMA.search, lines[skipped:])) else ".",
        ends_with_label=_ends_with_label(rows, len(columns)),
    )


def _is_count(columns: list[str]) -> bool:
    """Whether a row of numbers counts its columns: no value occurs twice, as it does in every image's row."""
    return len(set(columns)) == len(columns)


def _ends_with_label(rows: list[list[str]], count: int) -> bool:
    """Whether the last column varies and the first does not: most images have a corner that is always the same."""
    whole = [row for row in rows if len(row) == count][:-1]  # the last row may be cut
    first, last = ({row[i] for row in whole} for i in (0, -1))
    return len(first) == 1 and len(last) > 1


def read_file_labels(table: Table) -> list[FileLabel]:
    """The name of each file in the table and its label as text. Raises BadSource, which quotes what was found."""
    split_column = table.named(SPLIT_COLUMNS)
    file_column, label_column = table.files, table.named(LABEL_COLUMNS)
    if file_column is None or label_column is None:
        raise BadSource(f"{table.path.name} needs the columns file and label; its first row is {table.header}")
    rows = []
    with readable(table.path), table.path.open(encoding=table.encoding, newline="") as file:
        for number, row in enumerate(csv.reader(file, delimiter=table.delimiter, skipinitialspace=True), 1):
            if number <= table.skipped + 1 or not any(cell.strip() for cell in row):
                continue
            if len(row) <= max(file_column, label_column) or not row[label_column].strip():
                raise BadSource(f"{table.path.name} has no label in row {number}: {table.delimiter.join(row)[:80]!r}")
            split = row[split_column].strip() if split_column is not None and split_column < len(row) else ""
            rows.append(FileLabel(row[file_column].strip(), row[label_column].strip(), split))
    if not rows:
        raise BadSource(f"{table.path.name} names no file: it has a header and no rows")
    return rows


def numbers_or_names(texts: list[str]) -> np.ndarray:
    """Labels as int64 if each text is a whole number, such as 6 or 6.0, and else as they are."""
    try:
        values = np.array([float(text.replace(",", ".")) for text in texts])
    except ValueError:
        return np.array(texts)
    is_whole = (np.abs(values) < 2**53) & (np.rint(values) == values)
    return values.astype(np.int64) if is_whole.all() else np.array(texts)


def unpack_pixels(table: Table, target: Path, max_bytes: int) -> tuple[PlainArray, np.ndarray | None]:
    """Write the pixels of a table to `target`, as an array of square images; the labels come too, if it has them.

    Raises BadSource if a value is no number, or if the pixels take more than `max_bytes`.
    """
    import pandas as pd

    columns, labels, count = table.pixels, [], 0
    options: dict[str, Any] = {"sep": table.delimiter, "encoding": table.encoding, "chunksize": CHUNK}
    options |= {"skiprows": table.skipped, "decimal": table.decimal}
    options |= {"keep_default_na": False, "na_values": dict.fromkeys(columns, _NO_VALUE)}  # "NA" is a label like others
    if table.label is not None:  # else "01" is 1 in some parts of a long file
        options["dtype"] = {table.label: str}
    with readable(table.path), target.open("wb") as file:
        reader = pd.read_csv(table.path, header=0 if table.has_header else None, skipinitialspace=True, **options)
        for part in reader:
            pixels = part.iloc[:, columns].to_numpy(np.float32)
            for what, is_bad in (("lacks values", np.isnan(pixels)), ("has an infinite value", np.isinf(pixels))):
                if is_bad.any():
                    row = count + int(np.flatnonzero(is_bad.any(axis=1))[0]) + 1
                    raise BadSource(f"{table.path.name} {what} in row {row}")
            labels += [] if table.label is None else _label_texts(part.iloc[:, table.label], table, count)
            count += len(pixels)
            if count * pixels.shape[1] > max_bytes:
                raise BadSource(f"{table.path.name} unpacks to more than {max_bytes:,} bytes")
            file.write(pixels.tobytes())
    if not count:
        raise BadSource(f"{table.path.name} has a header and no rows")
    side = math.isqrt(len(columns))
    plain = PlainArray(target, 0, np.dtype(np.float32), (count, side, side))
    return plain, None if table.label is None else numbers_or_names(labels)


def _label_texts(column: Any, table: Table, start: int) -> list[str]:
    texts: list[str] = column.fillna("").str.strip().tolist()
    if "" in texts:
        raise BadSource(f"{table.path.name} has no label in row {start + texts.index('') + 1}")
    return texts


def _is_utf8(path: Path) -> bool:
    try:
        with path.open(encoding="utf-8") as file:
            while file.read(io.DEFAULT_BUFFER_SIZE * 64):
                pass
    except UnicodeDecodeError:
        return False
    return True


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
