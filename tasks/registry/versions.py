"""What the registry keeps: candidates, versions and promotions."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel

from artifacts.errors import DigitflowError
from artifacts.storage.store import Digest, Ref
from tasks.evaluation.gate import Baseline
from tasks.model.hyperparameters import Hyperparameters

Kind = Literal["promotion", "forced", "rollback"]


class ChampionChanged(DigitflowError):
    """Another promotion came first, so the evidence is about a model that is no longer champion."""


class Candidate(BaseModel, frozen=True):
    """A trained model and what its run found. `test` is the digest of the raw test images."""

    dataset: str
    recipe: str
    seed: int
    accuracy: float
    passed: bool
    reason: str
    run: str
    weights: Ref
    test: Digest
    hyperparameters: Hyperparameters
    image_shape: tuple[int, ...]
    """Height and width."""
    classes: int
    opponent: Baseline


class Version(Candidate):
    """A registered candidate. `created` is UTC."""

    version: int
    aliases: tuple[str, ...]
    created: datetime
    mlflow_run: str


class Promotion(BaseModel, frozen=True):
    """One change of the champion. `at` is UTC, `replaced` the version before, if any.

    It took effect unless something came between its note and the change itself, or the alias was moved elsewhere.
    """

    dataset: str
    version: int
    replaced: int | None
    kind: Kind
    run: str | None
    reason: str
    at: datetime
    took_effect: bool = True
