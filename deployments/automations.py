"""What a Prefect server does by itself when something happens to digitflow's runs; `make deploy` applies it.

    python -m deployments.automations

They are not in prefect.yaml, whose triggers can do nothing but run a deployment. Notifications go to the URL in
DIGITFLOW_WEBHOOK, as JSON by POST; without it, they are only kept as events.
"""

import os
from datetime import timedelta
from typing import Any

from prefect.automations import Automation
from prefect.blocks.webhook import Webhook
from prefect.client.schemas.objects import StateType
from prefect.events.actions import CallWebhook, ChangeFlowRunState, DoNothing
from prefect.events.schemas.automations import EventTrigger, Posture

BLOCK = "digitflow-notifications"
OURS = {"prefect.resource.id": "prefect.tag.digitflow", "prefect.resource.role": "tag"}
SILENCE = timedelta(seconds=100)
"""A run whose process is gone sends no heartbeat; prefect.yaml asks for one every 30 s."""
PATIENCE = timedelta(minutes=10)
"""Between a run's being taken by a worker and its start a container's image may have to be fetched."""

PREFIX, DEAD, STUCK = "digitflow: ", "a run is dead", "a run does not start"
CRASHING = {"prefect.resource.name": [PREFIX + DEAD, PREFIX + STUCK]}
"""Of no other is a failed action told: a failed notification would be told by one that fails too, for ever."""

HEARTBEAT = "prefect.flow-run.heartbeat"
STARTS = {"prefect.flow-run.Running", "prefect.flow-run.Retrying"}
_PREFECTS = ("Completed", "Failed", "Crashed", "Cancelled", "Suspended", "Paused")
_OURS = ("Promoted", "Unchanged", "Rejected", "Declined")
ENDS = {f"prefect.flow-run.{state}" for state in (*_PREFECTS, *_OURS)}
"""Events are named by a state's name, and ours are not called Completed."""


def automations(notify: CallWebhook | DoNothing) -> list[Automation]:
    """Every automation, by a name that stays."""
    return [
        _told("a run failed or crashed", {"prefect.flow-run.Failed", "prefect.flow-run.Crashed"}, notify, related=OURS),
        _told("an automation's action failed", {"prefect.automation.action.failed"}, notify, match=CRASHING),
        _told("a batch drifted", {"digitflow.batch.drifted"}, notify),
        _told("a batch went to quarantine", {"digitflow.batch.quarantined"}, notify),
        _told("the champion was replaced", {"digitflow.champion.replaced"}, notify),
        dead_runs(),
        stuck_runs(),
    ]


def dead_runs(silence: timedelta = SILENCE) -> Automation:
    """Crash runs that send no heartbeat."""
    return _crash(DEAD, {HEARTBEAT}, {HEARTBEAT} | ENDS, silence, "no heartbeat; its process is gone")


def stuck_runs(patience: timedelta = PATIENCE) -> Automation:
    """Crash runs whose worker died between taking them and starting them."""
    taken = {"prefect.flow-run.Pending", "prefect.flow-run.Submitting"}
    return _crash(STUCK, taken, STARTS | ENDS, patience, "never started; its worker is gone")


def apply() -> None:
    """Create or update every automation on the server that PREFECT_API_URL names."""
    for automation in automations(_notification()):
        try:
            present: Any = Automation.read(name=automation.name)
        except ValueError:
            automation.create()
        else:
            automation.id = present.id
            automation.update()


def _notification() -> CallWebhook | DoNothing:
    url = os.environ.get("DIGITFLOW_WEBHOOK")
    if not url:
        return DoNothing()
    block = Webhook(method="POST", url=url).save(BLOCK, overwrite=True)
    payload = (
        '{"event": {{ event.event | tojson }}, "resource": {{ event.resource.id | tojson }}, '
        '"payload": {{ event.payload | tojson }}}'
    )
    return CallWebhook(block_document_id=block, payload=payload)


def _crash(what: str, after: set[str], expect: set[str], within: timedelta, message: str) -> Automation:
    trigger = EventTrigger(
        after=after,
        expect=expect,
        match={"prefect.resource.id": "prefect.flow-run.*"},
        match_related=OURS,
        for_each={"prefect.resource.id"},
        posture=Posture.Proactive,
        threshold=1,
        within=within,
    )
    action = ChangeFlowRunState(state=StateType.CRASHED, message=message)
    description = "Crash it, so that it is seen and can be retried"
    return Automation(name=PREFIX + what, description=description, trigger=trigger, actions=[action])


def _told(
    what: str, events: set[str], notify: Any, related: dict[str, str] | None = None, match: dict[str, Any] | None = None
) -> Automation:
    trigger = EventTrigger(
        expect=events,
        match=match or {},
        match_related=related or {},
        posture=Posture.Reactive,
        threshold=1,
        within=timedelta(0),
    )
    return Automation(name=PREFIX + what, description="Tell somebody", trigger=trigger, actions=[notify])


if __name__ == "__main__":
    apply()
