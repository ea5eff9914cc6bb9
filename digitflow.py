"""digitflow for Python programs: `from digitflow import Classifier`."""

from artifacts.errors import DigitflowError
from artifacts.storage.settings import Settings
from artifacts.storage.store import Ref, Store
from tasks.data.datasets import Splits
from tasks.evaluation.gate import Gate
from tasks.model.hyperparameters import Hyperparameters
from tasks.prediction.classifier import Classifier, Prediction
from tasks.registry.registry import Registry
from tasks.registry.versions import Version

__all__ = [
    "Classifier",
    "DigitflowError",
    "Gate",
    "Hyperparameters",
    "Prediction",
    "Ref",
    "Registry",
    "Settings",
    "Splits",
    "Store",
    "Version",
]
