"""Automations: what a Prefect server does when an event of digitflow's runs arrives, or is missing.

`make deploy` applies them with `python -m deployments.automations`. They are not in prefect.yaml, because its triggers
can only run a deployment. A notification is an HTTP POST of JSON to the URL in DIGITFLOW_WEBHOOK, which the server
keeps; without one, the automations that only notify are off.
"""

import os
import sys
from datetime import timedelta
from typing import Any

from prefect.automations import Automation
from prefect.blocks.webhook import Webhook
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType
from prefect.events.actions import CallWebhook, ChangeFlowRunState, DoNothing
from prefect.events.schemas.automations import EventTrigger, Posture
from prefect.exceptions import ObjectNotFound

from artifacts.errors import DigitflowError
from artifacts.storage.settings import Settings
from flows.cli.output import print_note
from flows.publication.announcements import CONFIRMED

WEBHOOK_BLOCK = "digitflow-notifications"
PAYLOAD = (
    '{"event": {{ event.event | tojson }}, "resource": {{ event.resource.id | tojson }}, '
    '"payload": {{ event.payload | tojson }}}'
)
STALE_PAYLOAD = PAYLOAD.replace("{{ event.event | tojson }}", '"digitflow.champion.stale"')
"""Of a missing event; the payload is that of the last confirmation."""
DIGITFLOW_RUNS = {"prefect.resource.id": "prefect.tag.digitflow", "prefect.resource.role": "tag"}
HEARTBEAT_TIMEOUT = timedelta(seconds=100)
"""A run that sends no heartbeat for this long has lost its process; prefect.yaml sets one every 30 s."""
START_TIMEOUT = timedelta(minutes=10)
"""Time for a run to start after a worker has taken it, which may include the download of a container image."""

PREFIX, DEAD, STUCK = "digitflow: ", "a run is dead", "a run does not start"
CRASHING = {"prefect.resource.name": [PREFIX + DEAD, PREFIX + STUCK]}
"""Only failed actions of these automations are notified: the notification of a failed notification would fail too."""

SLOT_LOST = {"prefect.state-message": "Deployment concurrency slot lost*"}
"""A run that Prefect cancelled, not a person. One that comes due beside another is cancelled too: that is asked for."""

HEARTBEAT = "prefect.flow-run.heartbeat"
STARTS = {"prefect.flow-run.Running", "prefect.flow-run.Retrying"}
PREFECT_END_STATES = ("Completed", "Failed", "Crashed", "Cancelled", "Suspended", "Paused")
DIGITFLOW_END_STATES = ("Promoted", "Unchanged", "Rejected", "Declined", "Stopped")
ENDS = {f"prefect.flow-run.{state}" for state in (*PREFECT_END_STATES, *DIGITFLOW_END_STATES)}
"""Prefect names an event by the name of the state; digitflow's own names replace Completed."""


def automations(notify: CallWebhook | DoNothing) -> list[Automation]:
    """All automations. Their names never change: `apply` finds them by name."""
    ended_badly = {"prefect.flow-run.Failed", "prefect.flow-run.Crashed"}
    return [
        _notification("a run failed or crashed", ended_badly, notify, related=DIGITFLOW_RUNS),
        _notification(
            "a run lost its slot", {"prefect.flow-run.Cancelled"}, notify, related=DIGITFLOW_RUNS, match=SLOT_LOST
        ),
        _notification("a run waits for approval", {"prefect.flow-run.Suspended"}, notify, related=DIGITFLOW_RUNS),
        _notification("a run is late", {"prefect.flow-run.Late"}, notify, related=DIGITFLOW_RUNS),
        _notification("an automation's action failed", {"prefect.automation.action.failed"}, notify, match=CRASHING),
        _notification("a batch drifted", {"digitflow.batch.drifted"}, notify),
        _notification("a batch went to quarantine", {"digitflow.batch.quarantined"}, notify),
        _notification("a batch waits for approval", {"digitflow.batch.waiting"}, notify),
        _notification("predicted images drifted", {"digitflow.drift.detected"}, notify),
        _notification("the champion was replaced", {"digitflow.champion.replaced"}, notify),
        stale_champions(notify, timedelta(days=Settings.load().stale_days)),
        dead_runs(),
        stuck_runs(),
    ]


def stale_champions(notify: CallWebhook | DoNothing, within: timedelta) -> Automation:
    """Tell of a champion that no run confirmed for so long: no retraining ran, or each of them failed."""
    trigger = EventTrigger(
        after={CONFIRMED},
        expect={CONFIRMED},
        for_each={"prefect.resource.id"},
        posture=Posture.Proactive,
        threshold=1,
        within=within,
    )
    if isinstance(notify, CallWebhook):
        notify = notify.model_copy(update={"payload": STALE_PAYLOAD})
    return Automation(
        name=PREFIX + "a champion is stale",
        description="Send a notification if no run confirms a champion in time",
        enabled=_tells(notify),
        trigger=trigger,
        actions=[notify],
    )


def dead_runs(timeout: timedelta = HEARTBEAT_TIMEOUT) -> Automation:
    """Set runs that stop sending heartbeats to Crashed."""
    message = "no heartbeat; its process is gone"
    return _crash(DEAD, message, after={HEARTBEAT}, expect={HEARTBEAT} | ENDS, within=timeout)


def stuck_runs(timeout: timedelta = START_TIMEOUT) -> Automation:
    """Set runs whose worker ended between taking and starting them to Crashed."""
    taken = {"prefect.flow-run.Pending", "prefect.flow-run.Submitting"}
    return _crash(STUCK, "never started; its worker is gone", after=taken, expect=STARTS | ENDS, within=timeout)


def apply() -> None:
    """Create or update every automation on the server that PREFECT_API_URL names.

    One that a person switched stays so, until a webhook comes or goes.
    """
    for automation in automations(webhook()):
        try:
            existing: Any = Automation.read(name=automation.name)
        except ValueError:
            automation.create()
            continue
        automation.id = existing.id
        if _tells(*existing.actions) == _tells(*automation.actions):
            automation.enabled = existing.enabled
        automation.update()


def webhook() -> CallWebhook | DoNothing:
    """What tells people: a POST to the URL in DIGITFLOW_WEBHOOK, or if that is not set, to the one that the server has
    kept. Nothing, if there is none; an empty variable makes the server forget it.
    """
    url = os.environ.get("DIGITFLOW_WEBHOOK")
    if url:
        block = Webhook(method="POST", url=url).save(WEBHOOK_BLOCK, overwrite=True)
        return CallWebhook(block_document_id=block, payload=PAYLOAD)
    with get_client(sync_client=True) as client:
        try:
            block = client.read_block_document_by_name(WEBHOOK_BLOCK, "webhook").id
        except ObjectNotFound:
            return DoNothing()
        if url is None:
            return CallWebhook(block_document_id=block, payload=PAYLOAD)
        client.delete_block_document(block)
    return DoNothing()


def _tells(*actions: Any) -> bool:
    return any(isinstance(action, CallWebhook) for action in actions)


def _crash(name: str, message: str, *, after: set[str], expect: set[str], within: timedelta) -> Automation:
    """Set a run to Crashed if, after one of the events `after`, none of `expect` arrives in time."""
    trigger = EventTrigger(
        after=after,
        expect=expect,
        match={"prefect.resource.id": "prefect.flow-run.*"},
        match_related=DIGITFLOW_RUNS,
        for_each={"prefect.resource.id"},
        posture=Posture.Proactive,
        threshold=1,
        within=within,
    )
    action = ChangeFlowRunState(state=StateType.CRASHED, message=message)
    description = "Set the run to Crashed, so that people see it and can retry it"
    return Automation(name=PREFIX + name, description=description, trigger=trigger, actions=[action])


def _notification(
    name: str,
    events: set[str],
    notify: CallWebhook | DoNothing,
    *,
    related: dict[str, Any] | None = None,
    match: dict[str, Any] | None = None,
) -> Automation:
    trigger = EventTrigger(
        expect=events,
        match=match or {},
        match_related=related or {},
        posture=Posture.Reactive,
        threshold=1,
        within=timedelta(0),
    )
    return Automation(
        name=PREFIX + name,
        description="Send a notification",
        enabled=_tells(notify),
        trigger=trigger,
        actions=[notify],
    )


def main() -> int:
    """Apply the automations; an error that a user can cause is one line."""
    try:
        apply()
    except DigitflowError as error:
        print_note(str(error))
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
