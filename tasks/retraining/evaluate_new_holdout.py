"""Compare the candidate and the champion on the held-out new images."""

from artifacts.storage.arrays import Probabilities
from artifacts.storage.store import Ref, Store
from tasks.caching import step
from tasks.data.datasets import Split
from tasks.data.images import rescale
from tasks.evaluation.paired_tests import discordant
from tasks.model.forward import load_network, predict_probabilities
from tasks.model.hyperparameters import Hyperparameters


@step("evaluate-fresh", shaped_by=("keras", "backend", "numpy"))
def evaluate_new_holdout(
    weights: Ref,
    hyperparameters: Hyperparameters,
    new_holdout: Split,
    *,
    champion: Ref | None,
    champion_hyperparameters: Hyperparameters | None,
    classes: int,
    store: Store,
) -> Ref | None:
    """Three counts as JSON: the images that only the candidate got right, those that only the champion got right, and
    all images (n, height, width) of `new_holdout`. None without a champion.
    """
    if champion is None or champion_hyperparameters is None:
        return None
    images, labels = rescale(store.get(new_holdout.images)), store.get(new_holdout.labels)

    def predict(model: Ref, its_hyperparameters: Hyperparameters) -> Probabilities:
        shape = images.shape[1:]
        network = load_network(model, shape, classes, hyperparameters=its_hyperparameters, store=store)
        return predict_probabilities(network, images)

    candidates, champions = predict(weights, hyperparameters), predict(champion, champion_hyperparameters)
    return store.put_json(discordant(candidates, champions, labels))
