"""A run from its beginning to its end: its manifest, whether it is still this process's, and room for the next."""

import contextlib
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime

from artifacts.errors import DigitflowError, InvalidData
from artifacts.lineage.known_code import keep
from artifacts.lineage.manifest import Run, needed_by_runs
from artifacts.storage.eviction import Needed, Pruned, prune
from artifacts.storage.home import STARTING_LOCK, locked
from artifacts.storage.settings import Settings
from flows.plan import Plan
from tasks.registry.promotion import Consent
from tasks.registry.versions import Version


@contextlib.contextmanager
def recorded_run(plan: Plan, settings: Settings, name: str, in_flow: bool = True) -> Iterator[Run]:
    """A run of a plan with a manifest, called by its time and `name`. Invalid data leave their report in its folder."""
    name = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{slug(name)}"
    request = plan.model_dump(mode="json", include={"recipe", "seed", "hyperparameters", "gate"})
    with Run.recording(settings.artifacts, run=name, dataset=plan.source.name, **request) as run:
        try:
            with _while_ours() if in_flow else contextlib.nullcontext():
                yield run
        except InvalidData as error:
            path = run.store.write(f"{run.folder}/data-report.json", json.dumps(error.report, indent=1).encode())
            raise InvalidData(f"{plan.source.name}: {error}; correct the data and run again, see {path}") from None
    keep(settings.artifacts)  # what the steps reach, for the next command
    if settings.max_size is not None:
        prune_home(settings, settings.max_size)


def while_running(consent: Consent | None) -> Consent:
    """As `consent`, of a run that the server has not ended: one that was stopped for minutes, such as by a laptop's
    sleep, was declared dead, and people may have acted on that."""

    def ask(version: Version) -> bool:
        from prefect import runtime
        from prefect.client.orchestration import get_client

        _leave_if_taken_over()
        with get_client(sync_client=True) as client:
            state = client.read_flow_run(runtime.flow_run.id).state
        if state is not None and state.is_final():
            raise DigitflowError(
                f"Prefect's server has set this run to {state.name} meanwhile, so version {version.version} was not "
                "promoted; run it again"
            )
        return consent(version) if consent else True

    return ask


@contextlib.contextmanager
def _while_ours() -> Iterator[None]:
    """End this process without a word if its run is another's when the block ends.

    A machine that was cut off is declared dead, and another takes its run. When the first comes back, its report would
    replace the other's.
    """
    try:
        yield
    except Exception:
        _leave_if_taken_over()
        raise
    _leave_if_taken_over()


def _leave_if_taken_over() -> None:
    """Raise Abort if the server has started this run again, or will.

    Also if the server does not answer: then it cannot be told how the run ended either, and declares it dead.
    """
    import httpx
    from prefect import get_run_logger, runtime
    from prefect.client.orchestration import get_client
    from prefect.exceptions import Abort

    if runtime.deployment.id is None:  # only the run of a deployment can be started again
        return
    try:
        with get_client(sync_client=True) as client:
            run = client.read_flow_run(runtime.flow_run.id)
    except httpx.HTTPError as error:
        why = f"Prefect's server does not answer ({error})"
    else:
        is_waiting = run.state is not None and (run.state.is_scheduled() or run.state.is_pending())
        if run.run_count == runtime.flow_run.run_count and not is_waiting:
            return
        why = "Prefect's server has started this run again meanwhile"
    get_run_logger().warning("%s, so this process leaves it and reports nothing", why)
    raise Abort(why)


def prune_home(settings: Settings, max_bytes: int | None = None, older_than: float | None = None) -> Pruned:
    """Evict artifacts that neither a run nor an accepted batch needs.

    First those that were not used for `older_than` seconds, then the least recently used, until `max_bytes` are left.
    """
    from tasks.retraining.ledger import accepted_batches

    store = settings.artifacts
    with locked(store.home, STARTING_LOCK):
        needed = needed_by_runs(store)
        batches = {ref.name for batch in accepted_batches(store) for ref in (batch.data.images, batch.data.labels)}
        return prune(store, Needed(needed.names | batches, needed.kinds, needed.since), max_bytes, older_than)


def slug(name: str) -> str:
    """A name as one part of a path: letters, digits and hyphens."""
    return re.sub(r"[^a-zA-Z0-9]+", "-", name).strip("-")[:64] or "unnamed"
