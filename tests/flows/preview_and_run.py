"""Preview a run over the folder that is named, run it, and print both as JSON. Started in a copy of the project."""

import json
import sys

from artifacts.storage.settings import Settings
from flows.plan import Plan
from flows.preview import preview
from flows.training import training
from tasks.evaluation.gate import Gate
from tasks.model.hyperparameters import Overrides

parameters = {
    "dataset": sys.argv[1],
    "recipe": "tutorial",
    "seed": 0,
    "hyperparameters": Overrides(epochs=1),
    "gate": Gate(min_accuracy=0.1),
}
settings = Settings.load()
previewed = {f.name: f.cache for f in preview(Plan.of(**parameters, settings=settings), settings)}
cached = {task["name"]: task["cached"] for task in training(**parameters).tasks}
print(json.dumps({"previewed": previewed, "cached": cached}))
