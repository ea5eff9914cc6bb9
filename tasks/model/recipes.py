"""The named recipes: hyperparameters, and the accuracy that a model trained with them should reach."""

from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ValidationError

from artifacts.errors import UsageError, describe_validation_error
from tasks.data.datasets import SAMPLE
from tasks.model.hyperparameters import Hyperparameters

Recipe = Literal["tutorial", "tutorial-verbatim", "fast", "micro", "tiny", "keras-example", "accurate", "best"]
"""The names of RECIPES, for types and command lines."""


class RecipeDefinition(NamedTuple):
    """A recipe. `sample_epochs` are the epochs on the bundled sample, which has far fewer images.

    `expected_accuracy` is the lowest test accuracy in [0, 1] to expect, by data set; it is the gate's default.
    """

    hyperparameters: Hyperparameters
    sample_epochs: int
    expected_accuracy: dict[str, float]


ACCURATE = Hyperparameters(
    filters=(16, 32, 32, 64, 64),
    strides=(1, 2, 1, 2, 1),
    pool=(1,),
    padding=("valid", "same", "valid", "same", "valid"),
    activation="relu",
    batch_norm=True,
    dense=(128,),
    dropout=0.3,
    epochs=16,
    batch_size=128,
    learning_rate=0.008,
    beta_1=0.9,
    beta_2=0.98,
    label_smoothing=0.05,
    rotation=12,
    zoom=0.1,
    shear=0.15,
    shift=2,
    elastic=1,
    precision="bfloat16",
)

RECIPES: dict[Recipe, RecipeDefinition] = {
    "tutorial": RecipeDefinition(
        hyperparameters=Hyperparameters(),
        sample_epochs=10,
        expected_accuracy={"mnist": 0.974, "fashion-mnist": 0.86, SAMPLE: 0.90},
    ),
    "tutorial-verbatim": RecipeDefinition(
        hyperparameters=Hyperparameters(
            batch_size=32, learning_rate=0.001, schedule="constant", beta_1=0.9, beta_2=0.999
        ),
        sample_epochs=10,
        expected_accuracy={"mnist": 0.96, "fashion-mnist": 0.85, SAMPLE: 0.88},
    ),
    "fast": RecipeDefinition(
        hyperparameters=Hyperparameters(
            filters=(16, 32),
            kernel_size=(5, 3),
            activation="relu",
            dense=(256,),
            epochs=1,
            batch_size=128,
            learning_rate=0.01,
            label_smoothing=0.05,
            precision="bfloat16",
        ),
        sample_epochs=15,
        expected_accuracy={"mnist": 0.99, "fashion-mnist": 0.88, SAMPLE: 0.95},
    ),
    "micro": RecipeDefinition(
        hyperparameters=Hyperparameters(
            filters=(6, 10, 14, 14, 14),
            kernel_size=(5, 3),
            pool=(2, 1, 1, 2, 1),
            padding=("valid", "valid", "same", "valid"),
            separable=True,
            activation="relu",
            batch_norm=True,
            test_time_augmentation=True,
            epochs=20,
            batch_size=128,
            learning_rate=0.015,
            beta_1=0.9,
            beta_2=0.98,
            rotation=8,
            zoom=0.08,
            shear=0.1,
            shift=1,
        ),
        sample_epochs=60,
        expected_accuracy={"mnist": 0.985, "fashion-mnist": 0.82, SAMPLE: 0.93},
    ),
    "tiny": RecipeDefinition(
        hyperparameters=Hyperparameters(
            filters=(8, 16, 24),
            kernel_size=(5, 3),
            pool=(2, 2, 1),
            activation="relu",
            batch_norm=True,
            test_time_augmentation=True,
            epochs=11,
            batch_size=128,
            learning_rate=0.015,
            beta_1=0.9,
            beta_2=0.98,
            label_smoothing=0.02,
            rotation=8,
            zoom=0.08,
            shear=0.1,
            shift=1,
        ),
        sample_epochs=30,
        expected_accuracy={"mnist": 0.99, "fashion-mnist": 0.86, SAMPLE: 0.95},
    ),
    "keras-example": RecipeDefinition(
        hyperparameters=Hyperparameters(
            filters=(32, 64),
            activation="relu",
            dropout=0.5,
            epochs=8,
            batch_size=128,
            learning_rate=0.005,
            label_smoothing=0.05,
            precision="bfloat16",
        ),
        sample_epochs=20,
        expected_accuracy={"mnist": 0.99, "fashion-mnist": 0.90, SAMPLE: 0.96},
    ),
    "accurate": RecipeDefinition(
        hyperparameters=ACCURATE,
        sample_epochs=30,
        expected_accuracy={"mnist": 0.995, "fashion-mnist": 0.90, SAMPLE: 0.97},
    ),
    "best": RecipeDefinition(
        hyperparameters=ACCURATE.model_copy(update={"ensemble": 3, "elastic": 0.0}),  # as measured over five seeds
        sample_epochs=30,
        expected_accuracy={"mnist": 0.996, "fashion-mnist": 0.91, SAMPLE: 0.97},
    ),
}


def choose(recipe: Recipe, dataset: str, overrides: BaseModel | None = None) -> Hyperparameters:
    """The hyperparameters of a recipe for a data set, with `overrides` applied. Raises UsageError."""
    definition = RECIPES[recipe]
    changes: dict[str, Any] = {"epochs": definition.sample_epochs} if dataset == SAMPLE else {}
    changes |= overrides.model_dump(exclude_none=True) if overrides else {}
    try:
        return Hyperparameters.model_validate(definition.hyperparameters.model_dump() | changes)
    except ValidationError as error:
        raise UsageError(f"unusable hyperparameters: {describe_validation_error(error)}") from None


def changed(recipe: str, dataset: str, ours: Hyperparameters) -> dict[str, Any]:
    """The hyperparameters that differ from the recipe's own, as JSON values by their names: none, if it is unknown."""
    if recipe not in RECIPES:
        return {}
    own = choose(recipe, dataset).model_dump(mode="json")
    return {name: value for name, value in ours.model_dump(mode="json").items() if value != own[name]}


def default_min_accuracy(recipe: Recipe, dataset: str) -> float | None:
    """The accuracy that a recipe should reach on a known data set; None for other data."""
    return RECIPES[recipe].expected_accuracy.get(dataset)
