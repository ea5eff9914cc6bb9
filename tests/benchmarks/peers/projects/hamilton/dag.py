"""The dataflow: each function is a node, and its parameters are what it depends on."""

from work import steps


def raw(folder: str) -> steps.Raw:
    return steps.download(folder)


def valid(raw: steps.Raw) -> steps.Raw:
    return steps.validate(raw)


def images(valid: steps.Raw) -> steps.Pair:
    # the images as the network takes them
    return steps.normalise(valid)


def targets(valid: steps.Raw) -> steps.Pair:
    return steps.one_hot(valid)


def weights(images: steps.Pair, targets: steps.Pair, epochs: int, seed: int) -> steps.Weights:
    return steps.train(images, targets, epochs, seed)


def accuracy(weights: steps.Weights, images: steps.Pair, targets: steps.Pair) -> float:
    return steps.evaluate(weights, images, targets)


def saved(weights: steps.Weights, accuracy: float) -> str:
    return steps.save(weights, accuracy, "out/saved")
