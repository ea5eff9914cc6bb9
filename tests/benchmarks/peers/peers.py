"""The peers: what is installed, what is typed, and where each keeps what the benchmark damages."""

import sys
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[3]


@dataclass(frozen=True)
class Peer:
    """One tool with its own documented way of caching. Commands are words; a project is the working folder."""

    title: str
    run: str
    """The run that is typed first, and for most peers always."""
    pixels: str
    """A pattern of the files with the normalised training images: the largest that it matches."""
    step_file: str
    """The file of the step `normalise`, whose comment is edited."""
    requirements: tuple[str, ...] = ()
    again: str = ""
    """The run that answers from what is kept, if that is not `run`."""
    unlock: str = ""
    """What is typed first after a kill that left a lock, if the peer documents it."""
    retrain: str = ""
    """The run that trains again on the kept images."""
    retrain_setting: tuple[str, str, str] | None = None
    """Where that run's other seed is a line in a file: the file, the line, and the new one."""
    overlays: tuple[str, ...] = ()
    """The folders in `projects/` that make a project, the later over the earlier."""
    environment: str = ""
    """The folder of its environment. Empty: this Python."""
    prepare: str = ""
    variables: dict[str, str] = field(default_factory=dict)
    faults: tuple[str, ...] = ()
    """The faults that a second setting of a peer bears on, which is not timed. Empty: all."""

    @property
    def rerun(self) -> str:
        return self.again or self.run


LISTED = {"PEERS_LISTED": "1"}
_PREFECT = Peer(
    title="Prefect 3.8.8 alone",
    requirements=("prefect==3.8.8", "fastapi<0.151", "sqlalchemy<2.1"),
    environment="prefect",
    overlays=("prefect",),
    run="python flow.py",
    retrain="python flow.py 1",
    pixels="prefect_home/storage/*",
    step_file="flow.py",
    variables={
        "PREFECT_HOME": "{project}/prefect_home",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    },
)
_DAGSTER = Peer(
    title="Dagster 1.13.28",
    requirements=("dagster==1.13.28",),
    environment="dagster",
    overlays=("dagster",),
    run="python run.py",
    retrain="python run.py 1",
    pixels="storage/images",
    step_file="run.py",
    variables={"DAGSTER_HOME": "{project}"},
)
_ZENML = Peer(
    title="ZenML 0.98.0",
    requirements=("zenml[local]==0.98.0",),
    environment="zenml",
    overlays=("zenml",),
    prepare="zenml init",
    run="python run.py",
    retrain="python run.py 1",
    pixels="zenml_config/local_stores/**/*",
    step_file="run.py",
    variables={
        "ZENML_CONFIG_PATH": "{project}/zenml_config",
        "ZENML_ANALYTICS_OPT_IN": "false",
        "AUTO_OPEN_DASHBOARD": "false",
    },
)
_DVC = Peer(
    title="DVC 3.67.1",
    requirements=("dvc==3.67.1",),
    environment="dvc",
    overlays=("stages", "dvc"),
    prepare="dvc init --no-scm --quiet",
    run="dvc repro",
    retrain="dvc repro",
    retrain_setting=("params.json", '"seed": 0', '"seed": 1'),
    pixels="out/images/0.npy",
    step_file="stages/normalise.py",
    variables={"DVC_NO_ANALYTICS": "1"},
)
_SNAKEMAKE = Peer(
    title="Snakemake 9.27.1",
    requirements=("snakemake==9.27.1",),
    environment="snakemake",
    overlays=("stages", "snakemake"),
    run="snakemake --cores 2",
    again="snakemake --cores 2 --rerun-incomplete",
    unlock="snakemake --unlock",
    retrain="snakemake --cores 2 --config seed=1",
    pixels="out/images/0.npy",
    step_file="stages/normalise.py",
)

PEERS = {
    "digitflow": Peer(
        title="digitflow",
        overlays=("digitflow",),
        run="python -m flows.cli train --dataset data --dataset-name digits --epochs 10 --json",
        retrain="python -m flows.cli train --dataset data --dataset-name digits --epochs 10 --json --seed 1",
        pixels="home/objects/**/*",
        step_file="code/tasks/data/normalise.py",
        variables={"DIGITFLOW_HOME": "{project}/home", "PREFECT_HOME": "{project}/prefect_home"},
    ),
    "kedro": Peer(
        title="Kedro 1.7.0",
        requirements=("kedro==1.7.0", "kedro-datasets==9.6.0"),
        environment="kedro",
        overlays=("kedro",),
        run="kedro run --only-missing-outputs",
        retrain="kedro run --from-nodes train",
        pixels="out/images.pickle",
        step_file="src/digits/pipeline_registry.py",
        variables={"KEDRO_DISABLE_TELEMETRY": "1"},
    ),
    "dvc": _DVC,
    "metaflow": Peer(
        title="Metaflow 2.19.39",
        requirements=("metaflow==2.19.39",),
        environment="metaflow",
        overlays=("metaflow",),
        run="python flow.py --quiet run",
        again="python flow.py --quiet resume",
        retrain="python flow.py --quiet resume train",
        pixels=".metaflow/DigitsFlow/data/*/*",
        step_file="flow.py",
        variables={"USERNAME": "digits"},
    ),
    "dagster": _DAGSTER,
    "zenml": _ZENML,
    "hamilton": Peer(
        title="Hamilton 1.90.0",
        requirements=("apache-hamilton==1.90.0",),
        environment="hamilton",
        overlays=("hamilton",),
        run="python run.py",
        retrain="python run.py 1",
        pixels="cache/*",
        step_file="dag.py",
        variables={"HAMILTON_TELEMETRY_ENABLED": "false"},
    ),
    "snakemake": _SNAKEMAKE,
    "prefect": _PREFECT,
}
"""As each peer's documentation teaches it."""


def _listed(peer: Peer, *overlays: str, **variables: str) -> Peer:
    values = vars(peer) | {
        "title": f"{peer.title}, code listed by hand",
        "overlays": (*peer.overlays, *overlays),
        "variables": peer.variables | variables,
        "faults": ("deep edit", "comment", "library"),
    }
    return Peer(**values)


PEERS |= {
    "dvc-listed": _listed(_DVC, "dvc-listed"),
    "dagster-listed": _listed(_DAGSTER, **LISTED),
    "zenml-listed": _listed(_ZENML, **LISTED),
    "snakemake-listed": _listed(_SNAKEMAKE, **LISTED),
    "prefect-listed": _listed(_PREFECT, **LISTED),
    "prefect-locked": Peer(
        **vars(_PREFECT)
        | {
            "title": f"{_PREFECT.title}, with lock files",
            "variables": _PREFECT.variables | {"PEERS_LOCKED": "1"},
            "faults": ("killed in training", "two at once"),
        }
    ),
}
"""The peers that have a documented setting for files that a step depends on, with every code file in it."""

OPT_OUT = {"DO_NOT_TRACK": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
PYTHON_HERE = Path(sys.executable).parent
