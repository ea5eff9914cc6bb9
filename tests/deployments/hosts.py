"""Machines of a test's own, in network namespaces from which nothing leads out: a hub with all servers, and hosts.

Each host has a worker, and a home on a disk of its own. The hosts share what deployments/README.md says.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import httpx

from tasks.registry.mlflow_client import MLFLOW_TEMPLATE
from tests.command import ROOT, environment, eventually, processes_of
from tests.deployments.live import Live, free_port

HUB = "10.0.0.1"
"""The address of the hub. No other network is in reach, so any will do."""
BUCKET, FOLDER = "artifacts", "digitflow/"
CLONE_NEWNET = 0x40000000  # `os` has it, and setns, from Python 3.12 on


@dataclass
class Cluster:
    """The hub and its hosts, each with the variables that deployments/README.md asks for."""

    folder: Path
    variables: dict[str, str | None]
    programs: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    def machine(self, name: str) -> Live:
        """A machine by its name, for its home, its log and commands; those are typed at the hub."""
        home = self.folder / name / "home"
        own = {"DIGITFLOW_HOME": str(home), "PREFECT_HOME": str(self.folder / name / "prefect")}
        return Live(home, self.variables | own)

    def start_worker(self, host: str) -> None:
        """Add a host and start its worker, which may run one flow at a time."""
        worker = ("prefect", "worker", "start", "--pool", "local", "--type", "process", "--limit", "1")
        self.start(host, "ip", "netns", "exec", _namespace(host), *worker, **self.machine(host).variables)

    def start(self, machine: str, *command: str, **variables: str | None) -> None:
        """Start a program that logs beside the home of a machine."""
        log = self.machine(machine).home / "logs" / "worker.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as file:
            streams: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": file, "stderr": file}
            chosen = environment(**self.variables | variables)
            self.programs.append(subprocess.Popen(command, cwd=ROOT, env=chosen, start_new_session=True, **streams))

    def stop(self) -> None:
        """Kill the programs, and what they started; nothing of theirs is worth keeping."""
        for program in self.programs:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(program.pid, signal.SIGKILL)
            program.wait()
        for home in self.folder.glob("*/home"):
            for pid in processes_of(home):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    @property
    def bucket(self) -> Any:
        """A client of the S3 server."""
        names = {"aws_access_key_id": "AWS_ACCESS_KEY_ID", "aws_secret_access_key": "AWS_SECRET_ACCESS_KEY"}
        keys = {name: self.variables[variable] for name, variable in names.items()}
        return boto3.client("s3", endpoint_url=self.variables["AWS_ENDPOINT_URL"], region_name="us-east-1", **keys)

    def written(self, kind: str) -> list[str]:
        """The names of the files in a folder of the shared store, one for each time that a file was written."""
        versions = self.bucket.list_object_versions(Bucket=BUCKET, Prefix=f"{FOLDER}{kind}/").get("Versions", [])
        return [version["Key"].rpartition("/")[2] for version in versions]

    def stored(self, kind: str) -> list[str]:
        """The names of the files that are in a folder of the shared store."""
        objects = self.bucket.list_objects_v2(Bucket=BUCKET, Prefix=f"{FOLDER}{kind}/").get("Contents", [])
        return [each["Key"].removeprefix(FOLDER) for each in objects]

    @staticmethod
    def cut_off(host: str) -> None:
        """Pull the cable of a host: packets are lost, and nobody is told."""
        _ip("-n", _namespace("hub"), "link", "set", "dev", f"to-{host}", "down")

    @staticmethod
    def reconnect(host: str) -> None:
        _ip("-n", _namespace("hub"), "link", "set", "dev", f"to-{host}", "up")


@contextlib.contextmanager
def cluster(folder: Path, *hosts: str) -> Iterator[Cluster]:
    """The servers at the hub, which this thread is in meanwhile, with every deployment; and the hosts, idle yet."""
    paths = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    ports = {"prefect": "4200", "mlflow": "5000", "s3": "9000"}
    shared = {
        "PREFECT_API_URL": f"http://{HUB}:{ports['prefect']}/api",
        "MLFLOW_TRACKING_URI": f"http://{HUB}:{ports['mlflow']}",
        "DIGITFLOW_STORE": f"s3://{BUCKET}/{FOLDER.rstrip('/')}",
        "DIGITFLOW_LOCKS": f"redis://{HUB}",
        "AWS_ENDPOINT_URL": f"http://{HUB}:{ports['s3']}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "NO_PROXY": "*",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "0",
        "PREFECT_WORKER_QUERY_SECONDS": "1",
        "PREFECT_SERVER_DEPLOYMENTS_CONCURRENCY_SLOT_WAIT_SECONDS": "2",
    }
    made = Cluster(folder, paths | shared)
    with _network(*hosts), postgres_server() as database:
        try:
            made.start("redis", "redis-server", "--bind", HUB, "--protected-mode", "no", "--save", "")
            made.start("s3", sys.executable, "-m", "moto.server", "--host", HUB, "--port", ports["s3"])
            server = ("prefect", "server", "start", "--host", HUB, "--port", ports["prefect"], "--no-ui")
            home = str(made.machine("server").home)
            made.start("server", *server, PREFECT_API_DATABASE_CONNECTION_URL=database, PREFECT_HOME=home)
            MLFLOW_TEMPLATE.copy_to(folder / "mlflow.db")
            mlflow = ["mlflow", "server", "--host", HUB, "--port", ports["mlflow"], "--workers", "1"]
            mlflow += ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db"]
            mlflow += ["--artifacts-destination", str(folder / "mlflow")]
            made.start("mlflow", *mlflow, MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false", MLFLOW_DISABLE_TELEMETRY="true")
            _await(f"{shared['PREFECT_API_URL']}/health")
            deployed = made.machine("hub").run("python", "-m", "deployments.deploy")
            assert deployed.returncode == 0, deployed.stderr
            for url in (shared["AWS_ENDPOINT_URL"], f"{shared['MLFLOW_TRACKING_URI']}/health"):
                _await(url)
            made.bucket.create_bucket(Bucket=BUCKET)
            versioned = {"Status": "Enabled"}  # so that a second write of a file is seen
            made.bucket.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration=versioned)
            yield made
        finally:
            made.stop()


def _await(url: str) -> None:
    assert eventually(lambda: httpx.get(url, trust_env=False).is_success, 120), f"nothing answers at {url}"


@contextlib.contextmanager
def postgres_server() -> Iterator[str]:
    """A PostgreSQL server on loopback; yields its URL. It refuses to run as root."""
    programs, port = Path(os.environ["DIGITFLOW_TEST_POSTGRES"]), free_port()
    other: Any = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.getuid() == 0 else {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "data"

        def call(program: str, *arguments: str) -> None:
            command = [programs / program, "--pgdata", folder, *arguments]
            subprocess.run(command, cwd="/", check=True, stdout=subprocess.DEVNULL, **other)

        Path(name).chmod(0o777)
        call("initdb", "--auth=trust", "--username=prefect", "--no-sync")
        options = f"-p {port} -k {name} -h 127.0.0.1"
        call("pg_ctl", "start", "--wait", "--log", f"{name}/log", "--options", options)
        try:
            yield f"postgresql+asyncpg://prefect@127.0.0.1:{port}/postgres"
        finally:
            call("pg_ctl", "stop", "--mode", "fast")


@contextlib.contextmanager
def _network(*hosts: str) -> Iterator[None]:
    """A hub, which this thread and what it starts are in meanwhile, and hosts that a bridge joins to it."""
    with contextlib.ExitStack() as made:

        def add(name: str) -> str:
            _ip("netns", "add", _namespace(name))
            made.callback(_ip, "netns", "delete", _namespace(name))
            return _namespace(name)

        hub = add("hub")
        _ip("-n", hub, "link", "add", "name", "switch", "type", "bridge")
        _ip("-n", hub, "address", "add", f"{HUB}/24", "dev", "switch")
        _up(hub, "lo", "switch")
        for number, name in enumerate(hosts, 2):
            host = add(name)
            _ip("-n", hub, "link", "add", "name", f"to-{name}", "type", "veth", "peer", "name", "eth0", "netns", host)
            _ip("-n", hub, "link", "set", "dev", f"to-{name}", "master", "switch")
            _ip("-n", host, "address", "add", f"10.0.0.{number}/24", "dev", "eth0")
            _up(hub, f"to-{name}")
            _up(host, "lo", "eth0")
        made.enter_context(_inside(hub))
        yield


def _up(namespace: str, *devices: str) -> None:
    for device in devices:
        _ip("-n", namespace, "link", "set", "dev", device, "up")


def _namespace(name: str) -> str:
    return f"digitflow-{os.getpid()}-{name}"


def _ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True)
    assert done.returncode == 0, f"ip {' '.join(words)}: {done.stderr}"


@contextlib.contextmanager
def _inside(namespace: str) -> Iterator[None]:
    """This thread is in a namespace, and so is what it starts."""
    with Path("/proc/thread-self/ns/net").open() as outside, Path("/run/netns", namespace).open() as inside:
        _enter(inside.fileno())
        try:
            yield
        finally:
            _enter(outside.fileno())


def _enter(namespace: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(namespace, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
