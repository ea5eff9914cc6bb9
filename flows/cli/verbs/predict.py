"""The verb `predict`: classify images with the champion or another version."""

import io
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from artifacts.errors import UsageError
from artifacts.storage.home import NATIVE_LOG
from artifacts.storage.settings import Settings
from flows.cli.output import print_note, redirect_native_stderr, show_json, show_table
from flows.cli.session import session
from flows.cli.switch import Switch
from tasks.prediction.classifier import Classifier, Prediction, ensure_weights
from tasks.prediction.predictions_table import locate_table
from tasks.prediction.sources import IMAGE_FILES, LoadedImage, list_files, read_images
from tasks.registry.registry import Registry
from tasks.registry.versions import Version

NO_DEFAULT = Parameter(show_default=False)


IMAGES_HELP = f"{IMAGE_FILES} files, IDX gzipped or not, folders of them, or - for a list of these on stdin."


def predict(
    *images: Annotated[str, Parameter(allow_leading_hyphen=True, help=IMAGES_HELP)],
    model: Annotated[int | None, NO_DEFAULT] = None,
    dataset: Annotated[str | None, NO_DEFAULT] = None,
    output: Annotated[str | None, NO_DEFAULT] = None,
    json: Switch = False,
) -> int:
    """Classify images with the champion: digit, probability and runner-up, and how each image was changed before.

    An image of the model's size is taken as it is. Any other is cropped, scaled and centred as MNIST's digits were, and
    inverted if it is dark on light. A bad image is listed with its error; the exit status is then 1.

    Example: digitflow predict seven.png scans/

    Parameters
    ----------
    model: int
        Number of the version to use, in place of the champion; see: digitflow models
    dataset: str
        Data set of the model; needed if several data sets have one.
    output: str
        Write a table to this path or URL, .parquet or .csv, for one folder or URL of any size. The flow `prediction`
        does this in bounded memory, and continues after an interruption where it was.
    json: bool
        Print one JSON list on stdout; with --output, one object.
    """
    if not images:
        raise UsageError("no image is named; give files, folders, or - for a list on stdin")
    if output is not None:
        return _write_table(images, output, model, dataset=dataset, json=json)
    settings = Settings.load()
    with redirect_native_stderr(settings.home / NATIVE_LOG):
        version = ensure_weights(Registry(settings.home).find(model, dataset), settings)
        classifier = Classifier.of(version, settings.artifacts)
        predictions = list(classifier.classify(_load_images(images, settings.max_file_bytes)))
    if not predictions:
        raise UsageError("the list on stdin is empty; name an image on each line")
    _show(predictions, version, json)
    return int(any(prediction.error for prediction in predictions))


def _load_images(names: tuple[str, ...], max_bytes: int) -> Iterator[LoadedImage]:
    if "-" in names and isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="surrogateescape")  # file names are bytes
    listed = (line for name in names for line in (map(str.strip, sys.stdin) if name == "-" else [name]) if line)
    for path in list_files(listed):
        with tempfile.TemporaryDirectory() as scratch:
            yield from read_images(path, str(path), Path(scratch), max_bytes=max_bytes)


def _show(predictions: list[Prediction], version: Version, json: bool) -> None:
    if json:
        model = {"model": version.version, "dataset": version.dataset}
        show_json([prediction.model_dump(mode="json", exclude_none=True) | model for prediction in predictions])
    else:
        head = ("IMAGE", "READ", "SURE", "RUNNER-UP", "DONE TO IT, OR WHAT IS WRONG")
        show_table([head, *map(_row, predictions)])
        print_note(f"read by version {version.version} of {version.dataset}")


def _row(prediction: Prediction) -> tuple[str, ...]:
    if prediction.error:
        return prediction.image, "", "", "", f"ERROR: {prediction.error}"
    return (
        prediction.image,
        str(prediction.label),
        f"{prediction.probability:.2%}",
        f"{prediction.runner_up} ({prediction.runner_up_probability:.2%})",
        "; ".join(prediction.changes),
    )


def _write_table(images: tuple[str, ...], output: str, model: int | None, *, dataset: str | None, json: bool) -> int:
    if len(images) > 1 or images == ("-",):
        raise UsageError("with --output, give one folder, file or URL")
    locate_table(output)
    with session(Settings.load(), verbose=False) as wait_for_server:
        from flows.prediction import prediction

        wait_for_server()
        table: Any = prediction(images[0], output, model, dataset)
    fields = table.model_dump(mode="json")
    if json:
        show_json(fields)
    else:
        show_table([(name, str(value)) for name, value in fields.items()])
    return int(table.errors > 0)
