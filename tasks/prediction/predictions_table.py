"""How do predictions become a table? Parquet or CSV, written a shard at a time; it appears whole."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from artifacts.errors import UsageError
from artifacts.storage.remote import Remote
from artifacts.storage.store import Ref, Store
from tasks.registry.versions import Version

SUFFIXES = (".parquet", ".csv")


class WrittenTable(BaseModel):
    """Where a table of predictions is, how many images it lists, and how many of these could not be read."""

    output: str
    images: int
    errors: int
    model: int
    dataset: str


def locate_table(output: str) -> tuple[Remote, str]:
    """The folder and the file name of a table at a path or URL. Raises UsageError for an unknown suffix."""
    folder, _, name = output.rpartition("/")
    if not name.lower().endswith(SUFFIXES):
        raise UsageError(f"{output!r} names no table; let it end with {' or '.join(SUFFIXES)}")
    return Remote(folder or ("/" if output.startswith("/") else "."), "the output", "the path"), name


def write_table(
    shards: Iterable[Ref], version: Version, output: str, store: Store, unsure_below: float | None = None
) -> WrittenTable:
    """Write lists of `Prediction`s as one table, with the model in each row. One list at a time is in memory."""
    folder, name = locate_table(output)
    model = {"model": version.version, "dataset": version.dataset, "weights": version.weights.sha256}
    images = errors = 0
    with store.scratch() as scratch:
        with _writer(scratch / name) as writer:
            for shard in shards:
                rows = [_row(prediction, unsure_below) | model for prediction in store.get_json(shard)]
                writer.write_batch(_record_batch(rows))
                images += len(rows)
                errors += sum(row["error"] is not None for row in rows)
        folder.push(scratch / name, name)
    return WrittenTable(output=output, images=images, errors=errors, model=version.version, dataset=version.dataset)


def _row(prediction: dict[str, Any], unsure_below: float | None) -> dict[str, Any]:
    name = prediction["image"].encode(errors="backslashreplace").decode()  # bytes that are not UTF-8 become escapes
    probability = prediction["probability"]
    is_unsure = None if None in (probability, unsure_below) else probability < unsure_below
    return prediction | {"image": name, "unsure": is_unsure, "changes": "; ".join(prediction["changes"])}


def _schema() -> Any:
    import pyarrow as pa

    return pa.schema(
        [
            ("image", pa.string()),
            ("shape", pa.int16()),
            ("label", pa.int16()),
            ("name", pa.string()),
            ("probability", pa.float32()),
            ("runner_up", pa.int16()),
            ("runner_up_name", pa.string()),
            ("runner_up_probability", pa.float32()),
            ("unsure", pa.bool_()),
            ("changes", pa.string()),
            ("error", pa.string()),
            ("model", pa.int32()),
            ("dataset", pa.string()),
            ("weights", pa.string()),
        ]
    )


def _record_batch(rows: list[dict[str, Any]]) -> Any:
    import pyarrow as pa

    return pa.RecordBatch.from_pylist(rows, schema=_schema())


def _writer(path: Path) -> Any:
    if path.suffix.lower() == ".csv":
        from pyarrow import csv

        return csv.CSVWriter(str(path), _schema())
    from pyarrow import parquet

    return parquet.ParquetWriter(str(path), _schema())
