"""The flow `prediction`: from a folder or URL of images to a table of what a model reads in them."""

from typing import Any

from prefect import flow

from artifacts.storage.settings import Settings
from tasks.caching import RECORDS
from tasks.prediction.classifier import at_hand
from tasks.prediction.predict import predict
from tasks.prediction.predictions_table import place, write
from tasks.prediction.shards import portions
from tasks.registry.registry import Registry
from tasks.registry.versions import Candidate


@flow(name="prediction", persist_result=False, result_serializer="json")
def prediction(source: str, output: str, model: int | None = None, dataset: str | None = None) -> Any:
    """Predict every image and write a table, which appears whole; a run that was killed goes on where it was.

    Returns a `Predicted`. A bad image is a row with its error.

    Args:
        source: Folder, file or fsspec URL (http, https, s3 …) of PNG, JPEG, BMP, .npy or idx3-ubyte files
        output: Path or fsspec URL of the table to write; ends with .parquet or .csv
        model: Version of the model; the champion, if none is given
        dataset: Data set of the model, needed if several have one
    """
    place(output)
    settings = Settings.load()
    store = settings.artifacts
    version = at_hand(Registry(settings.home).find(model, dataset), settings)
    candidate = Candidate(**{name: getattr(version, name) for name in Candidate.model_fields})
    parts = [predict(portion, candidate, settings.max_file_bytes, store) for portion in portions(source)]
    return write(parts, version, output, store)


prediction.result_storage = RECORDS  # a failed run's exception goes there too, as JSON
