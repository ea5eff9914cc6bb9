"""What MLflow's pages say of experiments, runs and versions: MLflow's own tags, descriptions in Markdown, data sets."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tasks.registry.versions import Candidate, LoggedDataset, Package

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput

KIND = {"mlflow.experimentKind": "custom_model_development"}
"""The tag of an experiment whose page lists runs and models; without it, MLflow's page asks what it is for."""
ABOUT = "Training runs of digitflow, and its experiments with a run below each for every variant."
NOTE = "mlflow.note.content"
DIGEST = 32
"""Hexadecimal digits of a data set's digest; MLflow takes at most 36."""


def run_tags(candidate: Candidate, package: Package, run: str) -> dict[str, str]:
    """The tags of the run with the id `run`, which has the model in its folder "model"."""
    logged = {"run_id": run, "artifact_path": "model", "flavors": {"python_function": {}}}
    logged["utc_time_created"] = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S.%f}"
    return {
        "mlflow.log-model.history": json.dumps([logged]),
        NOTE: describe(candidate),
        "verdict": _verdict(candidate),
        **source_tags(package.source, package.commit),
    }


def source_tags(source: str, commit: str = "") -> dict[str, str]:
    """What ran, and the git commit of its code, if it is known."""
    tags = {"mlflow.source.type": "LOCAL", "mlflow.source.name": source}
    return tags | ({"mlflow.source.git.commit": commit} if commit else {})


def describe(candidate: Candidate) -> str:
    """A model in a few lines of Markdown: what it is, how good, the gate's verdict, and how to use it."""
    height, width = candidate.image_shape
    return (
        f"**{candidate.dataset}**, recipe `{candidate.recipe}`, seed {candidate.seed}: "
        f"{100 * candidate.accuracy:.2f}% of the test images are classified rightly.\n\n"
        f"The gate's verdict: **{_verdict(candidate)}**. {candidate.reason[:1].upper()}{candidate.reason[1:]}.\n\n"
        f"The model sorts grey images of {width}×{height} pixels into {candidate.classes} classes. "
        f"The run `{candidate.run}` trained it; its report is `report.html` among the run's artifacts."
    )


def _verdict(candidate: Candidate) -> str:
    return "passed" if candidate.passed else "rejected"


def version_tags(candidate: Candidate) -> dict[str, str]:
    """The tags of a version that people see."""
    return {
        "accuracy": str(candidate.accuracy),
        "recipe": candidate.recipe,
        "seed": str(candidate.seed),
        "verdict": _verdict(candidate),
    }


def dataset_inputs(datasets: Sequence[LoggedDataset]) -> "list[DatasetInput]":
    """The data sets of a run as MLflow's entities. MLflow must have been imported."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    return [
        DatasetInput(
            Dataset(
                name=data.name,
                digest=data.images.sha256[:DIGEST],
                source_type="http" if data.source.startswith("http") else "local",
                source=json.dumps(_place(data.source)),
                profile=json.dumps({"num_rows": data.images.shape[0], "shape": list(data.images.shape)}),
            ),
            [InputTag("mlflow.data.context", data.context)],
        )
        for data in datasets
    ]


def _place(source: str) -> Mapping[str, str]:
    return {"url": source} if source.startswith("http") else {"uri": source}
