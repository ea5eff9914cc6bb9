"""The image and the work pools, checked without a container engine or a cluster."""

import asyncio
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

import kubernetes_validate
import pytest
from docker.models.containers import _create_container_args
from prefect.client.schemas.objects import FlowRun
from prefect.states import Pending
from prefect_docker.worker import DockerWorkerJobConfiguration
from prefect_kubernetes.worker import KubernetesWorkerJobConfiguration

from tests.command import ROOT, environment

DOCKERFILE = ROOT / "deployments" / "Dockerfile"
DOCKERIGNORE = ROOT / "deployments" / "Dockerfile.dockerignore"
RUN = FlowRun(id=uuid4(), flow_id=uuid4(), name="a run", state=Pending())
KUBERNETES = "1.34"


def template(pool: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((ROOT / "deployments" / f"{pool}-pool.json").read_text())
    return content


def test_dockerfile() -> None:
    """hadolint finds no fault in the Dockerfile, and the last stage does not run as root."""
    linted = subprocess.run([Path(sys.executable).with_name("hadolint"), DOCKERFILE], capture_output=True, text=True)
    assert (linted.returncode, linted.stdout) == (0, "")
    assert [line for line in DOCKERFILE.read_text().splitlines() if line.startswith("USER")] == ["USER 1000:1000"]


@pytest.mark.slow
def test_image_is_whole(tmp_path: Path) -> None:
    """The command trains in a folder that has only what the Dockerfile copies and .dockerignore lets through."""
    image = tmp_path / "image"
    image.mkdir()
    let_through = {line[1:] for line in DOCKERIGNORE.read_text().splitlines() if line.startswith("!")}
    for line in DOCKERFILE.read_text().splitlines():
        if line.startswith("COPY ") and "--from" not in line:
            for name in line.split()[1:-1]:
                assert name in let_through
                if (ROOT / name).is_dir():
                    shutil.copytree(ROOT / name, image / name, ignore=shutil.ignore_patterns("home", "__pycache__"))
                else:
                    shutil.copy(ROOT / name, image)
    command = [sys.executable, "-m", "flows.cli", "train", "--dataset", "mnist-sample", "--epochs", "1", "--json"]
    assert (image / "digitflow.py").is_file()
    variables = {"DIGITFLOW_HOME": str(tmp_path / "home"), "HOME": str(tmp_path), "PREFECT_API_URL": None}
    trained = subprocess.run(command, cwd=image, env=environment(**variables), capture_output=True, text=True)
    assert trained.returncode in (0, 3), trained.stderr
    assert json.loads(trained.stdout)["dataset"] == "mnist-sample"


@pytest.mark.parametrize("pool", ["docker", "kubernetes"])
@pytest.mark.prefect
def test_pools_are_created(api: str, pool: str) -> None:
    """Prefect's server accepts the job template of a work pool."""
    command = [sys.executable, "-m", "prefect", "work-pool", "create", pool, "--type", pool, "--overwrite"]
    created = subprocess.run(
        [*command, "--base-job-template", f"deployments/{pool}-pool.json"], cwd=ROOT, capture_output=True, text=True
    )
    assert created.returncode == 0, created.stderr


@pytest.mark.parametrize("pool", ["docker", "kubernetes"])
def test_variables_are_used(pool: str) -> None:
    """A job template uses each of its variables, and no other."""
    content = template(pool)
    asked = {
        word.strip()
        for word in json.dumps(content["job_configuration"]).split("{{")[1:]
        for word in [word.split("}}")[0]]
    }
    assert asked == content["variables"]["properties"].keys()


def test_docker_job() -> None:
    """A Docker worker makes a container that does not run as root, on a read-only disk, with limits and with the
    variables of the pool and of the deployment. Docker's library knows every argument."""
    values = {"env": {"PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30"}}
    job = asyncio.run(DockerWorkerJobConfiguration.from_template_and_values(template("docker"), values))
    job.prepare_for_flow_run(RUN)
    assert job.image == "digitflow:latest" and job.command == "prefect flow-run execute"
    assert {"DIGITFLOW_STORE", "MLFLOW_TRACKING_URI", "PREFECT_API_URL", *values["env"]} <= job.env.keys()
    assert job.container_create_kwargs is not None and "user" not in DockerWorkerJobConfiguration.model_fields
    made = _create_container_args(
        {"image": job.image, "mem_limit": job.mem_limit, "version": "1.44", **job.container_create_kwargs}
    )
    assert made["user"] == "1000:1000"
    host = made["host_config"]
    assert (host["ReadonlyRootfs"], host["CapDrop"], host["Memory"], host["NanoCpus"]) == (
        True,
        ["ALL"],
        2**32,
        2 * 10**9,
    )


def test_kubernetes_job() -> None:
    """A Kubernetes worker makes a job that passes Kubernetes' own schema, strictly, does not run as root, and has the
    variables of the pool and of the deployment."""
    values = {"env": {"PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30"}}
    job = asyncio.run(KubernetesWorkerJobConfiguration.from_template_and_values(template("kubernetes"), values))
    job.prepare_for_flow_run(RUN)
    kubernetes_validate.validate(job.job_manifest, KUBERNETES, strict=True)
    pod = job.job_manifest["spec"]["template"]["spec"]
    [container] = pod["containers"]
    variables = {variable["name"] for variable in container["env"]}
    assert {"DIGITFLOW_STORE", "MLFLOW_TRACKING_URI", "PREFECT_API_URL", *values["env"]} <= variables
    assert pod["securityContext"]["runAsNonRoot"] and container["args"] == ["prefect", "flow-run", "execute"]
