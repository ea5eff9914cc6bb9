"""Keep the home within its limits of size and age."""

from artifacts.lineage.manifest import needed_by_runs
from artifacts.storage.eviction import Needed, Pruned, prune
from artifacts.storage.home import STARTING_LOCK, locked
from artifacts.storage.settings import Settings
from tasks.retraining.ledger import accepted_batches


def prune_home(settings: Settings, max_bytes: int | None = None, older_than: float | None = None) -> Pruned:
    """Evict artifacts that neither a run nor an accepted batch needs.

    First those that were not used for `older_than` seconds, then the least recently used, until `max_bytes` are left.
    """
    store = settings.artifacts
    with locked(store.home, STARTING_LOCK):
        needed = needed_by_runs(store)
        batches = {ref.name for batch in accepted_batches(store) for ref in (batch.data.images, batch.data.labels)}
        return prune(store, Needed(needed.names | batches, needed.kinds, needed.since), max_bytes, older_than)
