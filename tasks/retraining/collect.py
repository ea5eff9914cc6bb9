"""Take in the labelled batches that arrived."""

from prefect import task
from prefect.cache_policies import NO_CACHE

from artifacts.lineage.progress import report_progress
from artifacts.storage.store import Store
from tasks.data.datasets import Splits
from tasks.retraining import feedback as corrections
from tasks.retraining import inbox as batches
from tasks.retraining.inbox import Arrivals, OnDrift


@task(name="collect", cache_policy=NO_CACHE, persist_result=False)
def collect(
    dataset: str, base: Splits, classes: int, on_drift: OnDrift, store: Store, inbox: str, max_bytes: int
) -> Arrivals:
    """Fetch what is new below the URL `inbox`, if there is one, take in the corrections that people have made, and
    judge everything in the inbox of the home.

    The data set has `classes` classes and the splits `base`. Raises DigitflowError if the ledger is damaged.
    """
    report_progress("collect")
    with batches.one_at_a_time(store.home):
        if inbox:
            batches.fetch(inbox, store.home)
        corrections.hand_in(store.home)
        arrivals = batches.collect(dataset, base, classes, on_drift, store, max_bytes)
    report_progress("collect", done=1, total=1)
    return arrivals
