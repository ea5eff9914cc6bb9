"""Each recipe is complete, and overrides change only their own fields."""

from typing import get_args

import pytest

from tasks.data.datasets import NAMES, SAMPLE
from tasks.model.hyperparameters import Hyperparameters, Overrides
from tasks.model.recipes import RECIPES, Recipe, choose, default_min_accuracy


def test_recipe_type_names_each_recipe() -> None:
    """The names that types and the command line accept are those of the table, in its order."""
    assert get_args(Recipe) == tuple(RECIPES)


@pytest.mark.parametrize("dataset", NAMES)
@pytest.mark.parametrize("recipe", get_args(Recipe))
def test_recipes_are_whole(recipe: Recipe, dataset: str) -> None:
    """Each recipe is valid and has an expected accuracy for each known data set; the sample changes only the epochs."""
    chosen = choose(recipe, dataset)
    assert Hyperparameters.model_validate_json(chosen.model_dump_json()) == chosen
    assert (
        chosen.model_copy(update={"epochs": RECIPES[recipe].hyperparameters.epochs}) == RECIPES[recipe].hyperparameters
    )
    assert (chosen.epochs > RECIPES[recipe].hyperparameters.epochs) == (dataset == SAMPLE)
    assert 0.5 < (default_min_accuracy(recipe, dataset) or 0) < 1


def test_unknown_data_have_no_default_gate() -> None:
    """A folder's data set has no expected accuracy."""
    assert default_min_accuracy("tutorial", "folder") is None


def test_overrides_replace_only_themselves() -> None:
    """An override wins over the sample's epochs, and may be zero; every other field keeps the recipe's value."""
    chosen = choose("keras-example", SAMPLE, Overrides(epochs=1, dropout=0))
    assert chosen == RECIPES["keras-example"].hyperparameters.model_copy(update={"epochs": 1, "dropout": 0})
