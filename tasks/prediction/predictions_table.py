"""Predictions as a table, Parquet or CSV, that is written a part at a time and appears whole."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from artifacts.errors import UsageError
from artifacts.storage.remote import Remote
from artifacts.storage.store import Ref, Store
from tasks.registry.versions import Version

SUFFIXES = (".parquet", ".csv")


class Predicted(BaseModel):
    """What a batch prediction leaves: the table, how many images it lists, and how many of these are errors."""

    output: str
    images: int
    errors: int
    model: int
    dataset: str


def place(output: str) -> tuple[Remote, str]:
    """The folder and the name of a table at a path or URL. Raises UsageError if its name has no known suffix."""
    folder, _, name = output.rpartition("/")
    if not name.lower().endswith(SUFFIXES):
        raise UsageError(f"{output!r} names no table; let it end with {' or '.join(SUFFIXES)}")
    return Remote(folder or ("/" if output.startswith("/") else "."), "the output", "the path"), name


def write(parts: Iterable[Ref], version: Version, output: str, store: Store) -> Predicted:
    """Put lists of `Prediction`s into one table, with the model's version in each row. Memory: that of one part."""
    folder, name = place(output)
    constant = {"model": version.version, "dataset": version.dataset, "weights": version.weights.sha256}
    images = errors = 0
    with store.scratch() as scratch:
        with _writer(scratch / name) as writer:
            for part in parts:
                rows = [
                    row | constant | {"changes": "; ".join(row["changes"]), "image": _encodable(row["image"])}
                    for row in store.get_json(part)
                ]
                writer.write_batch(_batch(rows))
                images += len(rows)
                errors += sum(row["error"] is not None for row in rows)
        folder.push(scratch / name, name)
    return Predicted(output=output, images=images, errors=errors, model=version.version, dataset=version.dataset)


def _encodable(name: str) -> str:
    """A file name as UTF-8 can have it: bytes that are none become escapes."""
    return name.encode(errors="backslashreplace").decode()


def _schema() -> Any:
    import pyarrow as pa

    return pa.schema(
        [
            ("image", pa.string()),
            ("label", pa.int16()),
            ("probability", pa.float32()),
            ("runner_up", pa.int16()),
            ("runner_up_probability", pa.float32()),
            ("changes", pa.string()),
            ("error", pa.string()),
            ("model", pa.int32()),
            ("dataset", pa.string()),
            ("weights", pa.string()),
        ]
    )


def _batch(rows: list[dict[str, Any]]) -> Any:
    import pyarrow as pa

    return pa.RecordBatch.from_pylist(rows, schema=_schema())


def _writer(path: Path) -> Any:
    if path.suffix.lower() == ".csv":
        from pyarrow import csv

        return csv.CSVWriter(str(path), _schema())
    from pyarrow import parquet

    return parquet.ParquetWriter(str(path), _schema())
