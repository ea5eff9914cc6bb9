"""Count what the candidate and the champion get right of the new images that were held out."""

from artifacts.storage.store import Ref, Store
from tasks.caching import step
from tasks.data.datasets import Split
from tasks.data.images import rescale
from tasks.evaluation.paired_tests import discordant
from tasks.model.forward import predict
from tasks.model.hyperparameters import Hyperparameters


@step("evaluate-fresh", shaped_by=("keras", "backend", "numpy"))
def evaluate_new_holdout(
    weights: Ref,
    hyperparameters: Hyperparameters,
    champion: Ref | None,
    champions: Hyperparameters | None,
    fresh: Split,
    classes: int,
    store: Store,
) -> Ref | None:
    """Of held-out new images (n, height, width), how many only the candidate got right, how many only the champion, and
    n, as JSON; nothing without a champion.
    """
    if champion is None or champions is None:
        return None
    images, labels = rescale(store.get(fresh.images)), store.get(fresh.labels)
    ours = predict(weights, images, classes, hyperparameters, store)
    theirs = predict(champion, images, classes, champions, store)
    return store.put_json(discordant(ours, theirs, labels))
