"""The pipeline: nodes around the steps. The catalog keeps what they return."""

from kedro.pipeline import Pipeline, node
from work import steps


def normalise(raw: steps.Raw) -> steps.Pair:
    # the images as the network takes them
    return steps.normalise(raw)


def register_pipelines() -> dict[str, Pipeline]:
    nodes = [
        node(steps.download, "params:folder", "raw", name="download"),
        node(steps.validate, "raw", "valid", name="validate"),
        node(normalise, "valid", "images", name="normalise"),
        node(steps.one_hot, "valid", "targets", name="one_hot"),
        node(steps.train, ["images", "targets", "params:epochs", "params:seed"], "weights", name="train"),
        node(steps.evaluate, ["weights", "images", "targets"], "accuracy", name="evaluate"),
        node(steps.save, ["weights", "accuracy", "params:saved"], "answer", name="save"),
    ]
    return {"__default__": Pipeline(nodes)}
