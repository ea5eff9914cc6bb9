"""Every word of prefect.yaml means something: Prefect ignores keys that it does not know without a word."""

import importlib
import inspect
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import prefect.settings
import pytest
import yaml
from prefect import Flow
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.objects import ConcurrencyLimitStrategy
from prefect.client.schemas.schedules import CronSchedule
from prefect.events.schemas.deployment_triggers import DeploymentEventTrigger

from deployments.automations import SILENCE
from tests.command import ROOT

TOP = {"pull", "deployments"}
KEYS = {
    *("name", "entrypoint", "description", "tags", "version", "parameters"),
    *("concurrency_limit", "schedules", "triggers", "work_pool"),
}


DEFAULTS = dict(re.findall(r"^deploy: export (\w+) \?= (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE))
"""What `make deploy` sets for the variables of the file."""
VARIABLE = r"{{ \$(\w+) }}"


def problems(text: str, **variables: str) -> list[str]:
    """What in a deployment file is unknown, missing or wrong, given the variables that it names."""
    known = {"PWD": "/"} | DEFAULTS | variables
    found = [f"unknown variable {name}" for name in {*re.findall(VARIABLE, text)} - known.keys()]
    content = yaml.safe_load(re.sub(VARIABLE, lambda found: known.get(found[1], ""), text))
    found += [f"unknown key {key}" for key in content.keys() - TOP]
    for deployment in content["deployments"]:
        found += [f"{deployment.get('name')}: {problem}" for problem in _of(deployment)]
    return found


def _of(deployment: dict[str, Any]) -> list[str]:
    found = [f"unknown key {key}" for key in deployment.keys() - KEYS]
    needed = {"name", "entrypoint", "description", "tags", "version", "work_pool"}
    found += [f"no {key}" for key in needed - deployment.keys()]
    path, _, name = deployment["entrypoint"].partition(":")
    flow = getattr(importlib.import_module(path.removesuffix(".py").replace("/", ".")), name, None)
    if not isinstance(flow, Flow):
        return [*found, f"{deployment['entrypoint']} is no flow"]
    found += [f"unknown parameter {p}" for p in deployment["parameters"].keys() - inspect.signature(flow.fn).parameters]
    found += _work_pool(deployment["work_pool"])
    found += _concurrency(deployment.get("concurrency_limit", {"limit": 1, "collision_strategy": "ENQUEUE"}))
    for schedule in deployment.get("schedules", []):
        found += [f"unknown key {key} of a schedule" for key in schedule.keys() - {"cron", "timezone", "active"}]
        try:
            cron = CronSchedule(cron=schedule["cron"], timezone=schedule["timezone"])
            DeploymentScheduleCreate(schedule=cron, active=schedule["active"])
        except ValueError as error:
            found.append(f"bad schedule {schedule}: {error}")
    for trigger in deployment.get("triggers", []):
        fields = {field.alias or name for name, field in DeploymentEventTrigger.model_fields.items()}
        found += [f"unknown key {key} of a trigger" for key in trigger.keys() - fields]
        DeploymentEventTrigger.model_validate(trigger)
    return found


def _work_pool(pool: dict[str, Any]) -> list[str]:
    found = [f"unknown key {key} of work_pool" for key in pool.keys() - {"name", "job_variables"}]
    variables = pool.get("job_variables", {})
    found += [f"unknown key {key} of job_variables" for key in variables.keys() - {"env"}]
    return found + [
        f"unknown setting {name}" for name in variables.get("env", {}) if not hasattr(prefect.settings, name)
    ]


def _concurrency(limit: dict[str, Any]) -> list[str]:
    strategies = {strategy.value for strategy in ConcurrencyLimitStrategy}
    found = [f"unknown key {key} of concurrency_limit" for key in limit.keys() - {"limit", "collision_strategy"}]
    return found + ([] if limit.get("collision_strategy") in strategies else ["unknown collision_strategy"])


TEXT = Path(ROOT / "deployments" / "prefect.yaml").read_text()


def test_the_file_is_sound() -> None:
    """Keys, entry points, parameters, schedules, limits and triggers are what Prefect and the flows know."""
    assert problems(TEXT) == []


@pytest.mark.parametrize(
    ("old", "new", "told"),
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
def test_mistakes_are_found(old: str, new: str, told: str) -> None:
    """A mistake of each kind, which Prefect would deploy, is found."""
    assert old in TEXT
    assert any(told in problem for problem in problems(TEXT.replace(old, new)))


@pytest.mark.parametrize(
    "variables",
    [{"DIGITFLOW_NIGHTLY": "sometimes"}, {"DIGITFLOW_CRON": "0 30 * * *"}, {"DIGITFLOW_TIMEZONE": "Europe/Atlantis"}],
)
def test_bad_variables_are_refused(variables: dict[str, str]) -> None:
    """A variable of the nightly schedule that is no boolean, cron expression or time zone is refused."""
    assert problems(TEXT, DIGITFLOW_NIGHTLY="true") == []
    assert [problem for problem in problems(TEXT, **variables) if "bad schedule" in problem]


def test_heartbeats_are_frequent() -> None:
    """A run that is well sends three heartbeats before it would be taken for dead."""
    for deployment in yaml.safe_load(TEXT)["deployments"]:
        seconds = int(deployment["work_pool"]["job_variables"]["env"]["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"])
        assert 3 * timedelta(seconds=seconds) < SILENCE
