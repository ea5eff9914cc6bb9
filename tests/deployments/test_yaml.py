"""prefect.yaml has no mistake that Prefect would deploy: it ignores unknown keys without an error."""

import asyncio
import importlib
import inspect
import re
from collections import Counter
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import prefect.settings
import pytest
import yaml
from prefect import Flow
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.objects import ConcurrencyLimitStrategy
from prefect.client.schemas.schedules import CronSchedule
from prefect.events.schemas.deployment_triggers import DeploymentEventTrigger
from prefect.server.schemas import schedules

from deployments.automations import HEARTBEAT_TIMEOUT
from deployments.deploy import DEFAULTS
from tests.command import ROOT

TOP = {"pull", "deployments"}
KEYS = {
    *("name", "entrypoint", "description", "tags", "version", "parameters"),
    *("concurrency_limit", "schedules", "triggers", "work_pool"),
}


VARIABLE = r"{{ \$(\w+) }}"


def problems(text: str, **variables: str) -> list[str]:
    """What is unknown, missing or wrong in a deployment file with these values of its variables."""
    known = {"PWD": "/"} | DEFAULTS | variables
    mistakes = [f"unknown variable {name}" for name in {*re.findall(VARIABLE, text)} - known.keys()]
    content = yaml.safe_load(re.sub(VARIABLE, lambda match: known.get(match[1], ""), text))
    mistakes += [f"unknown key {key}" for key in content.keys() - TOP]
    for deployment in content["deployments"]:
        mistakes += [f"{deployment.get('name')}: {problem}" for problem in _of(deployment)]
    return mistakes


def _of(deployment: dict[str, Any]) -> list[str]:
    mistakes = [f"unknown key {key}" for key in deployment.keys() - KEYS]
    needed = {"name", "entrypoint", "description", "tags", "version", "work_pool"}
    mistakes += [f"no {key}" for key in needed - deployment.keys()]
    path, _, name = deployment["entrypoint"].partition(":")
    flow = getattr(importlib.import_module(path.removesuffix(".py").replace("/", ".")), name, None)
    if not isinstance(flow, Flow):
        return [*mistakes, f"{deployment['entrypoint']} is no flow"]
    mistakes += [
        f"unknown parameter {p}" for p in deployment["parameters"].keys() - inspect.signature(flow.fn).parameters
    ]
    mistakes += _work_pool(deployment["work_pool"])
    mistakes += _concurrency(deployment.get("concurrency_limit", {"limit": 1, "collision_strategy": "ENQUEUE"}))
    for schedule in deployment.get("schedules", []):
        mistakes += [f"unknown key {key} of a schedule" for key in schedule.keys() - {"cron", "timezone", "active"}]
        try:
            cron = CronSchedule(cron=schedule["cron"], timezone=schedule["timezone"])
            DeploymentScheduleCreate(schedule=cron, active=schedule["active"])
        except ValueError as error:
            mistakes.append(f"bad schedule {schedule}: {error}")
    for trigger in deployment.get("triggers", []):
        fields = {field.alias or name for name, field in DeploymentEventTrigger.model_fields.items()}
        mistakes += [f"unknown key {key} of a trigger" for key in trigger.keys() - fields]
        DeploymentEventTrigger.model_validate(trigger)
    return mistakes


def _work_pool(pool: dict[str, Any]) -> list[str]:
    mistakes = [f"unknown key {key} of work_pool" for key in pool.keys() - {"name", "job_variables"}]
    variables = pool.get("job_variables", {})
    mistakes += [f"unknown key {key} of job_variables" for key in variables.keys() - {"env"}]
    return mistakes + [
        f"unknown setting {name}" for name in variables.get("env", {}) if not hasattr(prefect.settings, name)
    ]


def _concurrency(limit: dict[str, Any]) -> list[str]:
    strategies = {strategy.value for strategy in ConcurrencyLimitStrategy}
    mistakes = [f"unknown key {key} of concurrency_limit" for key in limit.keys() - {"limit", "collision_strategy"}]
    return mistakes + ([] if limit.get("collision_strategy") in strategies else ["unknown collision_strategy"])


TEXT = Path(ROOT / "deployments" / "prefect.yaml").read_text()


def test_the_file_is_sound() -> None:
    """Prefect and the flows know every key, entry point, parameter, schedule, limit and trigger of the file."""
    assert problems(TEXT) == []


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("concurrency_limit:", "concurency_limit:", "unknown key concurency_limit"),
        ("collision_strategy: CANCEL_NEW", "collision_strategy: CANCEL", "unknown collision_strategy"),
        ("parameters: {}", "parameters: {sed: 1}", "unknown parameter sed"),
        ("$DIGITFLOW_CRON", "$DIGITFLOW_CORN", "unknown variable DIGITFLOW_CORN"),
        ("PREFECT_FLOWS_HEARTBEAT", "PREFECT_FLOW_HEARTBEAT", "unknown setting PREFECT_FLOW_HEARTBEAT_FREQUENCY"),
        ("job_variables", "job_variable", "unknown key job_variable of work_pool"),
        ("retraining.py:retraining", "retraining.py:retrain", "is no flow"),
        ("posture: Reactive", "postur: Reactive", "unknown key postur of a trigger"),
    ],
)
def test_mistakes_are_found(old: str, new: str, message: str) -> None:
    """A mistake of each kind is found, although Prefect would deploy it."""
    assert old in TEXT
    assert any(message in problem for problem in problems(TEXT.replace(old, new)))


@pytest.mark.parametrize(
    "variables",
    [{"DIGITFLOW_NIGHTLY": "sometimes"}, {"DIGITFLOW_CRON": "0 30 * * *"}, {"DIGITFLOW_TIMEZONE": "Europe/Atlantis"}],
)
def test_bad_variables_are_refused(variables: dict[str, str]) -> None:
    """A variable of the nightly schedule that is no boolean, cron expression or time zone is refused."""
    assert problems(TEXT, DIGITFLOW_NIGHTLY="true") == []
    assert [problem for problem in problems(TEXT, **variables) if "bad schedule" in problem]


def test_heartbeats_are_frequent() -> None:
    """A healthy run sends three heartbeats before the automation would set it to Crashed."""
    for deployment in yaml.safe_load(TEXT)["deployments"]:
        seconds = int(deployment["work_pool"]["job_variables"]["env"]["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"])
        assert 3 * timedelta(seconds=seconds) < HEARTBEAT_TIMEOUT


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "UTC"])
@pytest.mark.parametrize("cron", [DEFAULTS["DIGITFLOW_CRON"], "30 1 * * *", "30 2 * * *"])
def test_nightly_runs_once_a_day(cron: str, zone: str) -> None:
    """Whenever Prefect's scheduler asks, a nightly run is planned once for each day, also on the days on which the hour
    is left out or comes twice."""
    schedule, place = schedules.CronSchedule(cron=cron, timezone=zone), ZoneInfo(zone)
    for changing in (date(2026, 10, 25), date(2026, 11, 1), date(2027, 3, 14), date(2027, 3, 28)):
        start = datetime.combine(changing, time(), UTC) - timedelta(hours=12)
        asked = [start + timedelta(minutes=20 * i) for i in range(6 * 24)]
        planned = {when.astimezone(UTC) for now in asked for when in asyncio.run(schedule.get_dates(2, now))}
        days = Counter(when.astimezone(place).date() for when in planned)
        assert days[changing] == 1 and set(days.values()) == {1}, days
