"""Every word of prefect.yaml means something: Prefect ignores keys that it does not know without a word."""

import importlib
import inspect
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect import Flow
from prefect.client.schemas.objects import ConcurrencyLimitStrategy
from prefect.client.schemas.schedules import CronSchedule
from prefect.events.schemas.deployment_triggers import DeploymentEventTrigger

from tests.command import ROOT

TOP = {"pull", "deployments"}
KEYS = {
    *("name", "entrypoint", "description", "tags", "version", "parameters"),
    *("concurrency_limit", "schedules", "triggers", "work_pool"),
}


def problems(text: str) -> list[str]:
    """What in a deployment file is unknown, missing or wrong."""
    content = yaml.safe_load(text)
    found = [f"unknown key {key}" for key in content.keys() - TOP]
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
    found += _concurrency(deployment.get("concurrency_limit", {"limit": 1, "collision_strategy": "ENQUEUE"}))
    for schedule in deployment.get("schedules", []):
        found += [f"unknown key {key} of a schedule" for key in schedule.keys() - {"cron", "timezone", "active"}]
        try:
            CronSchedule(cron=schedule["cron"], timezone=schedule["timezone"])
        except ValueError:
            found.append(f"bad cron {schedule['cron']}, or time zone")
    for trigger in deployment.get("triggers", []):
        fields = {field.alias or name for name, field in DeploymentEventTrigger.model_fields.items()}
        found += [f"unknown key {key} of a trigger" for key in trigger.keys() - fields]
        DeploymentEventTrigger.model_validate(trigger)
    return found


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
        ("0 3 * * *", "0 30 * * *", "bad cron"),
        ("retraining.py:retraining", "retraining.py:retrain", "is no flow"),
        ("posture: Reactive", "postur: Reactive", "unknown key postur of a trigger"),
    ],
)
def test_mistakes_are_found(old: str, new: str, told: str) -> None:
    """A mistake of each kind, which Prefect would deploy, is found."""
    assert old in TEXT
    assert any(told in problem for problem in problems(TEXT.replace(old, new)))
