"""The flow `prediction`: from a folder or URL of images to a table of what a model reads in them."""

from typing import Annotated, Any

from prefect import flow
from pydantic import Field

from artifacts.storage.remote import refuse_password
from artifacts.storage.settings import Settings
from flows.publication.announcements import announce_drift
from flows.publication.prefect_page import rename_flow_run
from tasks.monitoring.watch import Watch
from tasks.prediction.classifier import ensure_weights
from tasks.prediction.predict import count_predicted, predict
from tasks.prediction.predictions_table import locate_table, write_table
from tasks.prediction.shards import Workspace, list_shards
from tasks.prefect_tasks import keep_plain
from tasks.registry.registry import Registry
from tasks.registry.versions import Candidate


@flow(name="prediction", persist_result=False, result_serializer="json")
def prediction(
    source: str,
    output: str,
    model: int | None = None,
    dataset: str | None = None,
    several: bool = False,
    unsure_below: Annotated[float, Field(ge=0, le=1)] | None = None,
) -> Any:
    """Predict every image of a source and write a table, which appears whole. A killed run continues where it was.

    Returns a `WrittenTable`. A bad image is a row with its error. What was read is counted, by day, and compared with
    the images that the model learned from.

    Args:
        source: Folder, file or fsspec URL (http, https, s3 …) with files of images, as in: digitflow predict --help
        output: Path or fsspec URL of the table to write; ends with .parquet or .csv
        model: Version of the model; the champion, if none is given
        dataset: Data set of the model, needed if several have one
        several: Whether each separate shape of a picture is a row; else several shapes are an error
        unsure_below: Probability below which a row says that the model is unsure
    """
    for url in (source, output):
        refuse_password(url)
    locate_table(output)
    settings = Settings.load()
    store, limit = settings.artifacts, settings.max_file_bytes
    version = ensure_weights(Registry(settings.home).find(model, dataset), settings)
    candidate = Candidate(**{name: getattr(version, name) for name in Candidate.model_fields})
    with Workspace.within(store) as workspace:
        shards = list_shards(source)
        predicted = [
            predict(shard, candidate, limit, several=several, workspace=workspace, store=store) for shard in shards
        ]
    table = write_table((shard.predictions for shard in predicted), version, output, store, unsure_below)
    rename_flow_run(f"{table.dataset} v{table.model}: {table.images:,} images")
    count_predicted(predicted, version, Watch(settings, announce_drift), store)
    return table


keep_plain(prediction)
