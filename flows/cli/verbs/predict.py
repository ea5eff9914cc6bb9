"""The verb `predict`: what the champion, or another version, reads in images."""

import io
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from artifacts.errors import UsageError
from artifacts.storage.settings import Settings
from flows.cli import output as console
from flows.cli.options import Flag
from flows.cli.session import session
from tasks.prediction.classifier import Classifier, Prediction, at_hand
from tasks.prediction.predictions_table import place
from tasks.prediction.sources import LoadedImage, expand, read
from tasks.registry.registry import Registry
from tasks.registry.versions import Version

Optional = Parameter(show_default=False)


def predict(
    *images: Annotated[str, Parameter(allow_leading_hyphen=True)],
    model: Annotated[int | None, Optional] = None,
    dataset: Annotated[str | None, Optional] = None,
    output: Annotated[str | None, Optional] = None,
    json: Annotated[bool, Flag] = False,
) -> int:
    """Say what the champion reads in images: digit, probability and runner-up, and what was done to each image before.

    An image of the model's size is taken as it is; any other is cropped, scaled and centred as MNIST's digits were, and
    inverted if it is dark on light. A bad image is told, and the others are read; the exit status is then 1.

    Example: digitflow predict seven.png scans/

    Parameters
    ----------
    images: str
        PNG, JPEG, BMP, .npy or IDX files (gzipped or not), folders of them, or - for a list of these on stdin.
    model: int
        Number of a version, in place of the champion; see: digitflow models
    dataset: str
        Needed if several data sets have such a model.
    output: str
        Write a table to this path or URL, .parquet or .csv, for one folder or URL of any size, by the flow
        `prediction`: in bounded memory, and after an interruption from where it was.
    json: bool
        Print one JSON list on stdout; with --output, one object.
    """
    if not images:
        raise UsageError("no image is named; give files, folders, or - for a list on stdin")
    if output is not None:
        return _to_table(images, output, model, dataset, json)
    settings = Settings.load()
    with console.native_output_in(settings.home / "native.log"):
        version = at_hand(Registry(settings.home).find(model, dataset), settings)
        found = list(Classifier.of(version, settings.artifacts).read(_seen(images, settings.max_file_bytes)))
    if not found:
        raise UsageError("the list on stdin is empty; name an image on each line")
    if json:
        console.show_json([_facts(prediction, version) for prediction in found])
    else:
        console.show_table([("IMAGE", "READ", "SURE", "RUNNER-UP", "DONE TO IT, OR WHAT IS WRONG"), *map(_row, found)])
        console.say(f"read by version {version.version} of {version.dataset}")
    return int(any(prediction.error for prediction in found))


def _seen(names: tuple[str, ...], max_bytes: int) -> Iterator[LoadedImage]:
    if "-" in names and isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="surrogateescape")  # file names are bytes
    listed = (line for name in names for line in (map(str.strip, sys.stdin) if name == "-" else [name]) if line)
    for path in expand(listed):
        with tempfile.TemporaryDirectory() as scratch:
            yield from read(path, str(path), Path(scratch), max_bytes)


def _facts(prediction: Prediction, version: Version) -> dict[str, Any]:
    facts = prediction.model_dump(mode="json", exclude_none=True)
    return facts | {"model": version.version, "dataset": version.dataset}


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


def _to_table(images: tuple[str, ...], output: str, model: int | None, dataset: str | None, json: bool) -> int:
    if len(images) > 1 or images == ("-",):
        raise UsageError("with --output, give one folder, file or URL")
    place(output)
    with session(Settings.load(), verbose=False) as ready:
        from flows.prediction import prediction

        ready()
        outcome: Any = prediction(images[0], output, model, dataset)
    facts = outcome.model_dump(mode="json")
    if json:
        console.show_json(facts)
    else:
        console.show_table([(name, str(value)) for name, value in facts.items()])
    return int(outcome.errors > 0)
