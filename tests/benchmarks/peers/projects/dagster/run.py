"""The steps as Dagster assets. What is missing or unsynced is computed, as "Materialize unsynced" on its page does."""

import sys

import dagster as dg
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContextForTest
from work import listed, steps

VERSION = listed.version() if listed.IS_LISTED else "1"
SEED = int(sys.argv[1]) if len(sys.argv) > 1 else 0


@dg.asset(code_version=VERSION)
def raw() -> steps.Raw:
    return steps.download("data")


@dg.asset(code_version=VERSION)
def valid(raw):
    return steps.validate(raw)


@dg.asset(code_version=VERSION)
def images(valid):
    # the images as the network takes them
    return steps.normalise(valid)


@dg.asset(code_version=VERSION)
def targets(valid):
    return steps.one_hot(valid)


@dg.asset(code_version=VERSION)
def weights(images, targets):
    return steps.train(images, targets, 10, SEED)


@dg.asset(code_version=VERSION)
def accuracy(weights, images, targets):
    return steps.evaluate(weights, images, targets)


@dg.asset(code_version=VERSION)
def saved(weights, accuracy):
    return steps.save(weights, accuracy, "out/saved")


ASSETS = [raw, valid, images, targets, weights, accuracy, saved]


def unsynced(instance):
    """The assets that are missing or unsynced."""
    graph = dg.Definitions(assets=ASSETS).resolve_asset_graph()
    resolver = CachingStaleStatusResolver(instance, graph, LoadingContextForTest(instance))
    return [asset.key for asset in ASSETS if resolver.get_status(asset.key) != StaleStatus.FRESH]


if __name__ == "__main__":
    with dg.DagsterInstance.get() as instance:
        selected = ["weights", "accuracy", "saved"] if SEED else unsynced(instance)
        if selected and not dg.materialize(ASSETS, selection=selected, instance=instance, raise_on_error=False).success:
            sys.exit(1)
