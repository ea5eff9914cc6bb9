"""The networks are the ones that the tutorial and Keras's example describe."""

from typing import Any

import pytest

from artifacts.backend import keras
from artifacts.errors import UsageError
from artifacts.hyperparameters import RECIPES, Hyperparameters, Recipe
from artifacts.network import OneCycle, at, build, compile_for_training


@pytest.mark.parametrize(
    ("recipe", "parameters"), [("tutorial", 13_610), ("tutorial-verbatim", 13_610), ("keras-example", 34_826)]
)
def test_known_sizes(recipe: Recipe, parameters: int) -> None:
    """On MNIST, each recipe's network has as many parameters as its source says."""
    network = build(RECIPES[recipe], (28, 28, 1), 10)
    assert network.count_params() == parameters
    assert network.output_shape == (None, 10)


def test_each_convolution_has_its_own_sizes() -> None:
    """Short lists repeat their last entry; a pool of 1 adds no layer; dense layers and dropout come last."""
    hp = Hyperparameters(filters=(2, 3, 4), kernel_size=(3, 1), pool=(2, 1), padding="same", dense=(5,), dropout=0.1)
    network = build(hp, (8, 8, 1), 3)
    kinds = [type(layer).__name__ for layer in network.layers]
    assert kinds == ["Conv2D", "MaxPooling2D", "Conv2D", "Conv2D", "Flatten", "Dense", "Dropout", "Dense"]
    assert [layer.kernel_size[0] for layer in network.layers if isinstance(layer, keras.layers.Conv2D)] == [3, 1, 1]
    assert [at((7, 9), i) for i in range(4)] == [7, 9, 9, 9]


@pytest.mark.parametrize(("recipe", "side", "number"), [("tutorial", 2, "1 of 1"), ("keras-example", 5, "2 of 2")])
def test_too_small_images_are_a_usage_error(recipe: Recipe, side: int, number: str) -> None:
    """Images that a convolution or pool leaves nothing of are refused with their size and the layer's number."""
    with pytest.raises(UsageError, match=f"images of {side} by {side} pixels are too small for convolution {number}"):
        build(RECIPES[recipe], (side, side, 1), 10)


def test_one_cycle_rises_and_falls() -> None:
    """From peak/25 the rate rises to the peak at the end of the warm-up, then falls to peak/10⁴, also once copied."""
    schedule: Any = OneCycle(peak=0.5, steps=100, warmup=0.3)
    rates = [float(schedule(step)) for step in range(101)]
    assert (rates[0], rates[30], rates[100]) == pytest.approx((0.5 / 25, 0.5, 0.5 / 1e4), rel=1e-4)
    assert rates[:31] == sorted(rates[:31]) and rates[30:] == sorted(rates[30:], reverse=True)
    copy: Any = OneCycle.from_config(schedule.get_config())
    assert [float(copy(step)) for step in range(101)] == rates


def test_optimiser_follows_the_hyperparameters() -> None:
    """Schedule, decays and label smoothing reach Keras, and the schedule survives Keras's serialisation."""
    network = build(RECIPES["tutorial"], (8, 8, 1), 10)
    compile_for_training(network, Hyperparameters(beta_1=0.8, label_smoothing=0.1, epochs=2), steps_per_epoch=7)
    config = network.optimizer.get_config()
    assert config["beta_1"] == 0.8 and network.loss.label_smoothing == 0.1
    schedule = keras.saving.deserialize_keras_object(config["learning_rate"])
    assert schedule.get_config() == {"peak": 0.015, "steps": 14, "warmup": 0.1}
    compile_for_training(network, Hyperparameters(schedule="constant", learning_rate=0.02), steps_per_epoch=7)
    assert float(network.optimizer.learning_rate) == pytest.approx(0.02)
