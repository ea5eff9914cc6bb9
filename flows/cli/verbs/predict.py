"""The verb `predict`: classify images with the champion or another version."""

import io
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from cyclopts.validators import Number

from artifacts.errors import UsageError
from artifacts.storage.home import NATIVE_LOG
from artifacts.storage.remote import refuse_password
from artifacts.storage.settings import Settings
from flows.cli.output import print_note, redirect_native_stderr, show_json, show_table
from flows.cli.switch import Switch
from tasks.data.datasets import IMAGE_FILES, require_utf8

if TYPE_CHECKING:
    from tasks.prediction.classifier import Prediction
    from tasks.prediction.sources import LoadedImage
    from tasks.registry.versions import Version

NO_DEFAULT = Parameter(show_default=False)


Several = Annotated[bool, Parameter(negative="", show_default=False)]
Probability = Annotated[float | None, Parameter(validator=Number(gte=0, lte=1), show_default=False)]
IMAGES_HELP = f"{IMAGE_FILES} files (IDX also gzipped), folders of them, or - for a list of these on stdin."


def predict(
    *images: Annotated[str, Parameter(allow_leading_hyphen=True, help=IMAGES_HELP)],
    model: Annotated[int | None, NO_DEFAULT] = None,
    dataset: Annotated[str | None, NO_DEFAULT] = None,
    several: Several = False,
    unsure_below: Probability = None,
    output: Annotated[str | None, NO_DEFAULT] = None,
    json: Switch = False,
) -> int:
    """Classify images with the champion: digit, probability and runner-up, and how each image was changed before.

    An image that lies as the training images of the model is taken as it is. Any other is brought to how these lie:
    what is drawn is told from its paper, cropped, scaled, centred and inverted if need be. A picture that cannot be
    understood, or shows several separate shapes, is listed with its error; the exit status is then 1.

    Example: digitflow predict seven.png scans/

    Parameters
    ----------
    model: int
        Number of the version to use, in place of the champion; see: digitflow models
    dataset: str
        Data set of the model; needed if several data sets have one.
    several: bool
        Read each separate shape of a picture, from left to right, in a row of its own.
    unsure_below: float
        Answer "unsure" where the probability is below this, such as 0.8.
    output: str
        Write a table to this path or URL, .parquet or .csv, for one folder or URL of any size. The flow `prediction`
        does this in bounded memory, and continues after an interruption where it was.
    json: bool
        Print one JSON list on stdout; with --output, one object.
    """
    if not images:
        raise UsageError("no image is named; give files, folders, or - for a list on stdin")
    for name in images:
        if name.startswith("-") and name != "-" and not os.path.lexists(name):
            raise UsageError(f"{name} is neither an option of predict nor a file; see digitflow predict --help")
    if output is not None:
        choices = {"model": model, "dataset": dataset, "several": several, "unsure_below": unsure_below}
        return _write_table(images, output, choices, json=json)
    predictions, version = _classify(images, model, dataset, several=several, unsure_below=unsure_below)
    _show(predictions, version, json)
    return int(any(prediction.error for prediction in predictions))


def _classify(
    images: tuple[str, ...], model: int | None, dataset: str | None, *, several: bool, unsure_below: float | None
) -> "tuple[list[Prediction], Version]":
    """What the version reads in the images, one prediction or more for each, and the version that it was.

    Prints which files were left out. Raises UsageError if no image is there.
    """
    if not any(name == "-" or os.path.lexists(name) for name in images):
        raise UsageError(f"there is no file or folder {images[0]}; give {IMAGE_FILES} files, or folders of them")
    from tasks.data.reader.files import count_left_out
    from tasks.prediction.classifier import Classifier, ensure_weights
    from tasks.registry.registry import Registry

    settings, left_out = Settings.load(), list[str]()
    with redirect_native_stderr(settings.home / NATIVE_LOG):
        version = ensure_weights(Registry(settings.home).find(model, dataset), settings)
        classifier = Classifier.of(version, settings.artifacts)
        loaded = _load_images(images, settings.max_file_bytes, left_out)
        predictions = [each.judged(unsure_below) for each in classifier.classify(loaded, several=several)]
    if not predictions:
        raise UsageError("the list on stdin is empty; name an image on each line")
    if line := count_left_out(left_out):
        print_note(line)
    return predictions, version


def _load_images(names: tuple[str, ...], max_bytes: int, left_out: list[str]) -> "Iterator[LoadedImage]":
    from tasks.prediction.sources import list_files, read_images

    if "-" in names and isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="surrogateescape")  # file names are bytes
    listed = (line for name in names for line in (map(str.strip, sys.stdin) if name == "-" else [name]) if line)
    for path in list_files(listed, left_out):
        with tempfile.TemporaryDirectory() as scratch:
            yield from read_images(path, str(path), Path(scratch), max_bytes=max_bytes)


def _show(predictions: "list[Prediction]", version: "Version", json: bool) -> None:
    if json:
        model = {"model": version.version, "dataset": version.dataset}
        show_json([prediction.model_dump(mode="json", exclude_none=True) | model for prediction in predictions])
    else:
        head = ("IMAGE", "READ", "SURE", "RUNNER-UP", "DONE TO IT, OR WHAT IS WRONG")
        show_table([head, *map(_row, predictions)])
        print_note(f"read by version {version.version} of {version.dataset}")


def _row(prediction: "Prediction") -> tuple[str, ...]:
    if prediction.error:
        return prediction.image, "", "", "", f"ERROR: {prediction.error}"
    read, second = prediction.name or prediction.label, prediction.runner_up_name or prediction.runner_up
    return (
        f"{prediction.image}, shape {prediction.shape}" if prediction.shape else prediction.image,
        f"unsure ({read}?)" if prediction.unsure else str(read),
        _percent(prediction.probability),
        f"{second} ({_percent(prediction.runner_up_probability)})",
        "; ".join(prediction.changes),
    )


def _write_table(images: tuple[str, ...], output: str, choices: dict[str, Any], *, json: bool) -> int:
    if len(images) > 1 or images == ("-",):
        raise UsageError("with --output, give one folder, file or URL")
    from artifacts.lineage.notices import posting
    from flows.cli.servers import is_server_configured
    from flows.cli.session import session
    from tasks.prediction.predictions_table import locate_table

    for path in (images[0], output):
        require_utf8(path)
        refuse_password(path)  # before a server could keep it
    locate_table(output)
    with posting(is_server_configured()), session(Settings.load(), verbose=False) as wait_for_server:
        from flows.prediction import prediction

        wait_for_server()
        table: Any = prediction(images[0], output, **choices)
    fields = table.model_dump(mode="json")
    if json:
        show_json(fields)
    else:
        show_table([(name, str(value)) for name, value in fields.items()])
    if table.errors:
        print_note(f"the column error of {output} says what is wrong with each of {table.errors:,} rows")
    return int(table.errors > 0)


def _percent(probability: float | None) -> str:
    """A probability in percent; none is certain."""
    if probability is None:
        return ""
    if probability > 0.999:
        return "> 99.9%"
    return "< 0.1%" if probability < 0.001 else f"{probability:.1%}"
