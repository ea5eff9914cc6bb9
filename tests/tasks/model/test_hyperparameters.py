"""Hyperparameters and their overrides have bounds, and errors name the field and the value."""

from typing import Any

import pytest
from pydantic import ValidationError

from artifacts.errors import UsageError, describe_validation_error
from tasks.model.hyperparameters import Hyperparameters, Overrides
from tasks.model.recipes import choose

BAD: list[tuple[str, Any]] = [
    ("filters", ()), ("filters", (0,)), ("filters", (8,) * 17), ("kernel_size", (1025,)), ("strides", ()),
    ("pool", (0,)), ("padding", "full"), ("activation", "step"), ("dense", (0,)), ("dropout", 1), ("epochs", 0),
    ("batch_size", 65537), ("learning_rate", 0), ("learning_rate", 10.1), ("learning_rate", float("nan")),
    ("schedule", "linear"), ("warmup", 1), ("beta_1", 1), ("beta_2", -0.1), ("label_smoothing", 1), ("sed", 3),
    ("batch_norm", 2), ("rotation", 181), ("zoom", 1), ("shear", -0.1), ("shift", -1), ("elastic", -1),
    ("precision", "float16"), ("class_weight", "even"), ("ensemble", 0), ("separable", 2),
    ("test_time_augmentation", 2),
]  # fmt: skip


@pytest.mark.parametrize("model", [Hyperparameters, Overrides])
@pytest.mark.parametrize(("name", "value"), BAD)
def test_bounds_hold_and_are_explained(name: str, value: Any, model: Any) -> None:
    """Overrides have the same bounds; the error for a value out of bounds or an unknown name says both."""
    with pytest.raises(ValidationError) as caught:
        model(**{name: value})
    text = describe_validation_error(caught.value)
    assert text.startswith(name) and "got" in text and "\n" not in text
    assert str(value[0] if value and isinstance(value, tuple) and len(value) == 1 else value) in text


def test_every_field_has_a_bad_value() -> None:
    """The bounds of every hyperparameter are tested."""
    assert {name for name, _ in BAD} == {*Hyperparameters.model_fields, "sed"}


def test_one_word_of_padding_counts_for_all() -> None:
    """Padding may be one word, as in hyperparameters that old code stored."""
    assert Hyperparameters.model_validate({"padding": "same"}).padding == ("same",)


@pytest.mark.parametrize("name", ["kernel_size", "strides", "pool"])
def test_no_entry_without_a_convolution(name: str) -> None:
    """More entries than convolutions are a usage error, which names the field and says what to give."""
    with pytest.raises(UsageError, match=f"{name} has more entries than filters; give one for each convolution"):
        choose("tutorial", "mnist", Overrides(**{name: (2, 2)}))
    assert choose("tutorial", "mnist", Overrides(filters=(4, 4), **{name: (2, 2)})).filters == (4, 4)
