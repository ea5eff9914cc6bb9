"""Create or update the deployments and automations on the server that PREFECT_API_URL names.

    make deploy    python -m deployments.deploy

What a person switched or changed on the server stays: schedules, parameters, paused deployments,
automations that are on or off.
Only the variables DIGITFLOW_NIGHTLY, DIGITFLOW_CRON and DIGITFLOW_TIMEZONE, where they are set, change the nightly
schedule.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import DeploymentUpdate, WorkPoolCreate
from prefect.workers.process import ProcessWorker

from artifacts.errors import DigitflowError, UsageError
from artifacts.storage.settings import Settings
from deployments import automations
from deployments.stack import Stack, port
from flows.cli.checks.services import check_nightly
from flows.cli.output import print_note
from flows.cli.servers import ask_server, bypass_proxies, describe_refusal, require_address

NIGHTLY = "retraining/nightly"
DEFAULTS = {
    "DIGITFLOW_POOL": "local",
    "DIGITFLOW_NIGHTLY": "false",
    "DIGITFLOW_CRON": "0 3 * * *",
    "DIGITFLOW_TIMEZONE": "UTC",
}
"""Prefect refuses prefect.yaml if one of these is not set."""
FILE = Path(__file__).with_name("prefect.yaml")

Schedules = list[tuple[Any, bool]]
"""Schedules as Prefect has them, and whether each is active."""


class Switches(NamedTuple):
    """What a person may set of one deployment."""

    paused: bool
    schedules: Schedules
    parameters: dict[str, Any]


def deploy() -> list[str]:
    """Deploy all; returns a line for each deployment. Raises DigitflowError."""
    stack = Stack(Settings.load().home, port())
    url = _server(stack)
    stack.require_own(url)
    state, found, remedy = check_nightly(Settings.load())
    if state == "problem":
        raise UsageError(f"{found}; {remedy}")
    require_address(url)
    status, its_version = ask_server(url, "admin/version")
    if not status:
        raise DigitflowError(f"no server answers at {url}; start one: {stack.make('up')}")
    if not isinstance(its_version, str):
        raise DigitflowError(describe_refusal(url, status))
    print_note("creating the deployments and automations, which takes some ten seconds")
    explicit = [name for name in DEFAULTS if name != "DIGITFLOW_POOL" and os.environ.get(name)]
    with get_client(sync_client=True) as client:
        before, were_enabled = _switches(client), _automations(client)
        pool, unset = os.environ.get("DIGITFLOW_POOL") or "local", DEFAULTS | _nightly(before)
        template = ProcessWorker.get_default_base_job_template()
        client.create_work_pool(WorkPoolCreate(name=pool, type="process", base_job_template=template), overwrite=True)
        _prefect("deploy", "--all", "--prefect-file", str(FILE), unset=unset)
        for name, switches in before.items():
            _restore(client, name, switches, with_schedules=name != NIGHTLY or not explicit)
        for automation in client.read_automations():
            if automation.enabled != were_enabled.get(automation.name, automation.enabled):
                (client.pause_automation if automation.enabled else client.resume_automation)(automation.id)
        automations.apply()
        return [_line(name, switches) for name, switches in sorted(_switches(client).items())]


def _server(stack: Stack) -> str:
    """The URL of the server that PREFECT_API_URL names, or else of the home's own."""
    return os.environ.get("PREFECT_API_URL") or stack.url


def _switches(client: SyncPrefectClient) -> dict[str, Switches]:
    """What is set of each deployment of ours, by its full name."""
    ours = [deployment for deployment in client.read_deployments(limit=200) if "digitflow" in deployment.tags]
    return {
        f"{client.read_flow(each.flow_id).name}/{each.name}": Switches(
            bool(each.paused),
            [(schedule.schedule, schedule.active) for schedule in each.schedules],
            each.parameters or {},
        )
        for each in ours
    }


def _automations(client: SyncPrefectClient) -> dict[str, bool]:
    """Whether each automation is enabled, by its name."""
    return {automation.name: automation.enabled for automation in client.read_automations()}


def _nightly(before: dict[str, Switches]) -> dict[str, str]:
    """The nightly schedule as it is on the server, for the variables that are not set."""
    schedules = before[NIGHTLY].schedules if NIGHTLY in before else []
    if len(schedules) != 1 or not (cron := getattr(schedules[0][0], "cron", None)):
        return {}
    schedule, active = schedules[0]
    zone = schedule.timezone or "UTC"
    return {"DIGITFLOW_NIGHTLY": str(active).lower(), "DIGITFLOW_CRON": cron, "DIGITFLOW_TIMEZONE": zone}


def _restore(client: SyncPrefectClient, name: str, before: Switches, *, with_schedules: bool) -> None:
    """Set a deployment as it was before it was deployed again."""
    deployment = client.read_deployment_by_name(name)
    if deployment.parameters != before.parameters:
        client.update_deployment(deployment.id, DeploymentUpdate(parameters=before.parameters))
    now = [(schedule.schedule, schedule.active) for schedule in deployment.schedules]
    if with_schedules and now != before.schedules:
        for schedule in deployment.schedules:
            client.delete_deployment_schedule(deployment.id, schedule.id)
        if before.schedules:
            client.create_deployment_schedules(deployment.id, before.schedules)
    if bool(deployment.paused) != before.paused:
        (client.pause_deployment if before.paused else client.resume_deployment)(deployment.id)


def _prefect(*arguments: str, unset: dict[str, str]) -> None:
    """Run Prefect's command line quietly; `unset` are the values of variables that are not set.

    Raises DigitflowError with its last words.
    """
    defaults = {name: os.environ.get(name) or value for name, value in unset.items()}
    command = [sys.executable, "-m", "prefect", "--no-prompt", *arguments]
    done = subprocess.run(command, env=os.environ | defaults, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        words = " ".join((done.stderr or done.stdout).split()[-40:])
        raise DigitflowError(f"prefect {arguments[0]} ended with {done.returncode}: {words}")


def _line(name: str, switches: Switches) -> str:
    times = [f"{_when(schedule)}{'' if active else ', switched off'}" for schedule, active in switches.schedules]
    return f"{name}: {'; '.join(times) or 'on demand'}{', paused' if switches.paused else ''}"


def _when(schedule: Any) -> str:
    if cron := getattr(schedule, "cron", None):
        return f"at {cron} {schedule.timezone or 'UTC'}"
    return f"every {schedule.interval}" if getattr(schedule, "interval", None) else f"by rule {schedule.rrule}"


def main() -> int:
    """Deploy, and print what there is."""
    bypass_proxies()
    try:
        for line in deploy():
            print(line)  # noqa: T201
        url, programs = _server(Stack(Settings.load().home, port())), Path(sys.executable).parent
        print(f"next: export PREFECT_API_URL={url} PATH={programs}:$PATH")  # noqa: T201
        print("then: prefect deployment run training/on-demand --watch")  # noqa: T201
    except DigitflowError as error:
        print_note(str(error))
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
