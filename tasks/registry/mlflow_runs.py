"""The runs that MLflow keeps: one for each candidate, with its model and files, and those of an experiment."""

import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any, NamedTuple

from artifacts.lineage.environment import versions
from artifacts.storage.store import Store
from tasks.registry.mlflow_client import Tracking
from tasks.registry.portable_code import write_package
from tasks.registry.run_tags import NOTE, dataset_inputs, run_tags, source_tags
from tasks.registry.versions import WEIGHTS, Candidate, Package

if TYPE_CHECKING:
    from artifacts.storage.arrays import Images

LOGGED_WITH = ("keras", "tensorflow", "numpy", "scipy", "pillow", "pydantic")
"""The libraries that a logged model needs."""


class LoggedVariant(NamedTuple):
    """A variant of an experiment: what MLflow shows as parameters, its metrics by seed, and why it failed, if it did.

    A metric may lack seeds, whose trials were not finished. `weights` is how many trained parameters the network has.
    """

    name: str
    parameters: Mapping[str, Any]
    metrics: Mapping[str, Mapping[int, float]]
    weights: int
    failure: str = ""


def _short_name(candidate: Candidate) -> str:
    """What MLflow's list calls a run: it cuts long names, and shows no metric until a person asks for one."""
    words = candidate.run.split("-", 2)[-1]  # without date and time, which have a column
    return f"{candidate.recipe} {100 * candidate.accuracy:.2f}% {words}"


def log_candidate(tracking: Tracking, candidate: Candidate, package: Package, store: Store) -> str:
    """Log a run with parameters, metrics, data sets, tags, model, weights and files; returns its id."""
    now = _milliseconds()
    started = int(package.started.timestamp() * 1000) if package.started else now
    run: str = tracking.client.create_run(tracking.experiment, started, run_name=_short_name(candidate)).info.run_id

    from mlflow.entities import Metric, Param, RunTag  # after the client has set MLflow's environment

    parameters = candidate.model_dump(mode="json", include={"dataset", "recipe", "seed"})
    parameters |= candidate.hyperparameters.model_dump(mode="json")
    metrics = [
        Metric(f"train_{name}", value, now, epoch)
        for name, values in package.history.items()
        for epoch, value in enumerate(values, 1)
    ]
    totals = {"test_accuracy": candidate.accuracy, **package.metrics}
    tracking.client.log_batch(
        run,
        [*metrics, *(Metric(name, value, now, 0) for name, value in totals.items())],
        [Param(name, str(value)) for name, value in parameters.items()],
        [RunTag(name, value) for name, value in run_tags(candidate, package, run).items()],
    )
    if package.datasets:
        tracking.client.log_inputs(run, dataset_inputs(package.datasets))
    with tempfile.TemporaryDirectory() as folder:
        _write_files(candidate, package, store, folder=Path(folder), run=run)
        tracking.client.log_artifacts(run, folder)
    tracking.client.set_terminated(run)
    return run


def log_experiment(
    tracking: Tracking,
    title: str,
    variants: Sequence[LoggedVariant],
    page: bytes,
    *,
    source: str = "digitflow",
    about: str = "",
) -> None:
    """Log a run with the HTML page, and below it a run for each variant.

    `source` is what ran, `about` a description in Markdown.
    """
    with tracking.locked(), tracking.errors():
        tags = {NOTE: about, **source_tags(source)}
        parent: str = tracking.client.create_run(tracking.experiment, tags=tags, run_name=title).info.run_id
        for variant in variants:
            _log_variant(tracking, variant, parent)
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "report.html").write_bytes(page)
            tracking.client.log_artifacts(parent, folder)
        tracking.client.set_terminated(parent)


def _log_variant(tracking: Tracking, variant: LoggedVariant, parent: str) -> None:
    from mlflow.entities import Metric, Param

    now, seeds = _milliseconds(), sorted({seed for values in variant.metrics.values() for seed in values})
    what = f"Means over {len(seeds)} seeds ({', '.join(map(str, seeds))})" if len(seeds) > 1 else "One seed"
    about = f"{what}. The step of a metric that ends in `_by_seed` is the seed."
    tags = {"mlflow.parentRunId": parent, NOTE: f"Failed: {variant.failure}" if variant.failure else about}
    run = tracking.client.create_run(tracking.experiment, run_name=variant.name[:250], tags=tags).info.run_id
    metrics = [
        Metric(f"{name}_by_seed", value, now, seed)
        for name, values in variant.metrics.items()
        for seed, value in values.items()
    ]
    if not variant.failure:
        metrics += [Metric(f"{name}_mean", fmean(of.values()), now, 0) for name, of in variant.metrics.items()]
        metrics.append(Metric("parameters", variant.weights, now, 0))
    tracking.client.log_batch(run, metrics, [Param(k, str(v)) for k, v in variant.parameters.items()])
    tracking.client.set_terminated(run, "FAILED" if variant.failure else None)


def _write_files(candidate: Candidate, package: Package, store: Store, *, folder: Path, run: str) -> None:
    """Write what MLflow keeps of a run: the Keras model, the weights, and the files of the package."""
    from tasks.model.forward import load_network

    shape, hp = package.example.shape[1:], candidate.hyperparameters
    network = load_network(candidate.weights, shape, candidate.classes, hyperparameters=hp, store=store)
    _save_model(network, candidate, package.example, path=folder / "model", run=run)
    for name, content in {WEIGHTS: store.path(candidate.weights).read_bytes(), **package.files}.items():
        (folder / name).write_bytes(content)


def _save_model(network: Any, candidate: Candidate, example: "Images", *, path: Path, run: str) -> None:
    """Save a network as an MLflow model that takes raw pictures, with its code, a signature and an input example.

    The signature says nothing of the input: MLflow would convert pixels of other types to it, in silence.
    """
    import mlflow.pyfunc
    import numpy as np
    from mlflow.models import Model, ModelSignature
    from mlflow.types.schema import Schema, TensorSpec

    from tasks.model.logged_model import save

    probabilities = Schema([TensorSpec(np.dtype(np.float32), (-1, candidate.classes))])
    raw = np.rint((example[..., 0] + np.float32(0.5)) * 255).astype(np.uint8)
    with tempfile.TemporaryDirectory() as scratch:
        save(network, candidate.image_shape, candidate.conventions, Path(scratch) / "data")
        loader = write_package("tasks.model.logged_model", Path(scratch) / "code")
        mlflow.pyfunc.save_model(
            str(path),
            loader_module=loader,
            data_path=f"{scratch}/data",
            code_paths=[f"{scratch}/code/{loader.partition('.')[0]}"],
            mlflow_model=Model(artifact_path="model", run_id=run),
            signature=ModelSignature(outputs=probabilities),
            input_example=raw,
            pip_requirements=[f"{name}=={version}" for name, version in versions(LOGGED_WITH).items()],
            metadata={"input": "pictures (n, height, width), in grey, of whole numbers from 0 to 255; of any size"},
        )


def _milliseconds() -> int:
    """The present time as MLflow wants it: since 1970, UTC."""
    return int(datetime.now(UTC).timestamp() * 1000)
