"""Who is told of what happened: Prefect's automations by an event, or without a server a webhook by a notice."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from artifacts.lineage.manifest import Manifest
from artifacts.lineage.notices import post
from flows.recorded_run import slug
from tasks.data.datasets import NAMES
from tasks.monitoring.compared_days import ComparedDay
from tasks.monitoring.freshness import confirms

CONFIRMED = "digitflow.champion.confirmed"
"""The event of a run that made a model champion, or came to no other than the champion."""


def announce(
    event: str, resource: str, payload: dict[str, Any], labels: Mapping[str, str] = MappingProxyType({})
) -> None:
    """Tell of something that happened: as an event, on which Prefect's automations may act, or without a server as a
    notice. `labels` of the resource are for triggers.
    """
    from prefect.events import emit_event

    emit_event(event, {"prefect.resource.id": resource, **labels}, payload=payload)
    post(event, resource, payload)


def announce_promotion(dataset: str, version: int, *, run: str, reason: str) -> None:
    """Tell that a version became champion."""
    payload = {"dataset": dataset, "version": version, "run": run, "reason": reason}
    announce("digitflow.champion.replaced", model_resource(dataset), payload)


def announce_drift(day: ComparedDay) -> None:
    """Tell that the images which a version read on a day drifted from those that it learned from."""
    kind = "named" if day.dataset in NAMES else "unnamed"  # people's own data are found by a path, not by their name
    announce(*drift_event(day), {"digitflow.dataset": kind})


def drift_event(day: ComparedDay) -> tuple[str, str, dict[str, Any]]:
    """The event, its resource and its payload that tell of drift."""
    worst = day.worst.model_dump() if day.worst else {}
    payload = day.model_dump(mode="json", exclude={"drift"}) | worst
    return "digitflow.drift.detected", model_resource(day.dataset), payload


def confirm_champion(run: Manifest, champion: int | None) -> None:
    """Tell Prefect's server that the champion is still the right one; what nobody tells in time is an automation's."""
    if confirms(run, champion):
        from prefect.events import emit_event

        payload = {"dataset": run.dataset, "version": champion, "run": run.run}
        emit_event(CONFIRMED, {"prefect.resource.id": model_resource(run.dataset)}, payload=payload)


def model_resource(dataset: str) -> str:
    """What events call the models of a data set."""
    return f"digitflow.model.{slug(dataset)}"
