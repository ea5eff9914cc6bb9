"""The networks are those of the tutorial and of Keras's example."""

from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from artifacts.errors import UsageError
from tasks.model import network as networks
from tasks.model.hyperparameters import Hyperparameters
from tasks.model.keras_setup import keras
from tasks.model.layer_sizes import at, check_image_size
from tasks.model.network import OneCycle, build_network, compile_for_training
from tasks.model.recipes import RECIPES, Recipe


@pytest.mark.parametrize(
    ("recipe", "parameters"),
    [("tutorial", 13_610), ("tutorial-verbatim", 13_610), ("keras-example", 34_826), ("tiny", 7_170), ("micro", 1_940)],
)
def test_known_sizes(recipe: Recipe, parameters: int) -> None:
    """On MNIST, each recipe's network has as many parameters as its source says."""
    network = build_network(RECIPES[recipe].hyperparameters, (28, 28, 1), 10)
    assert network.count_params() == parameters
    assert network.output_shape == (None, 10)


def test_each_convolution_has_its_own_sizes() -> None:
    """Short lists repeat their last entry; a pool of 1 adds no layer; dense layers and dropout come last."""
    hp = Hyperparameters(filters=(2, 3, 4), kernel_size=(3, 1), pool=(2, 1), padding=("same",), dense=(5,), dropout=0.1)
    network = build_network(hp, (8, 8, 1), 3)
    kinds = [type(layer).__name__ for layer in network.layers if not layer.name.startswith("activation")]
    assert kinds == ["Conv2D", "MaxPooling2D", "Conv2D", "Conv2D", "Flatten", "Dense", "Dropout", "Dense"]
    assert [layer.kernel_size[0] for layer in network.layers if isinstance(layer, keras.layers.Conv2D)] == [3, 1, 1]
    assert [at((7, 9), i) for i in range(4)] == [7, 9, 9, 9]


@pytest.mark.parametrize(("recipe", "side", "number"), [("tutorial", 2, "1 of 1"), ("keras-example", 5, "2 of 2")])
def test_too_small_images_are_a_usage_error(recipe: Recipe, side: int, number: str) -> None:
    """Images that are too small for a convolution or pool are refused with their size and the number of the layer."""
    with pytest.raises(UsageError, match=f"images of {side}×{side} are too small for convolution {number}"):
        build_network(RECIPES[recipe].hyperparameters, (side, side, 1), 10)


@given(
    kernels=st.lists(st.integers(1, 5), min_size=1, max_size=3),
    strides=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    pools=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    padding=st.sampled_from(["valid", "same"]),
    size=st.tuples(st.integers(1, 12), st.integers(1, 12)),
)
@settings(max_examples=60, deadline=None)
def test_size_is_refused_if_nothing_is_left(
    kernels: list[int], strides: list[int], pools: list[int], padding: Any, size: tuple[int, int]
) -> None:
    """The images that are refused before training are those for which Keras cannot build the network."""
    layers = zip_longest(kernels, strides, pools, fillvalue=1)
    filters, kernel_size, steps, pool = zip(*((1, *sizes) for sizes in layers), strict=True)
    hp = Hyperparameters(filters=filters, kernel_size=kernel_size, strides=steps, pool=pool, padding=(padding,))
    try:
        check_image_size(hp, *size)
    except UsageError:
        with pytest.MonkeyPatch.context() as patch, pytest.raises(ValueError):
            patch.setattr(networks, "check_image_size", lambda *_: None)
            build_network(hp, (*size, 1), 2)
    else:
        assert build_network(hp, (*size, 1), 2).output_shape == (None, 2)


def test_one_cycle_rises_and_falls() -> None:
    """The rate rises from peak/25 to the peak at the end of the warm-up, then falls to peak/10⁴; a copy does so too."""
    schedule: Any = OneCycle(peak=0.5, steps=100, warmup=0.3)
    rates = [float(schedule(step)) for step in range(101)]
    assert (rates[0], rates[30], rates[100]) == pytest.approx((0.5 / 25, 0.5, 0.5 / 1e4), rel=1e-4)
    assert rates[:31] == sorted(rates[:31]) and rates[30:] == sorted(rates[30:], reverse=True)
    copy: Any = OneCycle.from_config(schedule.get_config())
    assert [float(copy(step)) for step in range(101)] == rates


def test_optimiser_follows_the_hyperparameters() -> None:
    """Schedule, decays and label smoothing reach Keras, and the schedule survives Keras's serialisation."""
    network = build_network(RECIPES["tutorial"].hyperparameters, (8, 8, 1), 10)
    compile_for_training(network, Hyperparameters(beta_1=0.8, label_smoothing=0.1, epochs=2), steps_per_epoch=7)
    config = network.optimizer.get_config()
    assert config["beta_1"] == 0.8 and network.loss.label_smoothing == 0.1
    schedule = keras.saving.deserialize_keras_object(config["learning_rate"])
    assert schedule.get_config() == {"peak": 0.03, "steps": 14, "warmup": 0.2}
    compile_for_training(network, Hyperparameters(schedule="constant", learning_rate=0.02), steps_per_epoch=7)
    assert float(network.optimizer.learning_rate) == pytest.approx(0.02)


def test_pooling_before_activation_changes_nothing() -> None:
    """The network pools before the activation, and computes the same as Keras's layers in the usual order."""
    network = build_network(RECIPES["keras-example"].hyperparameters, (28, 28, 1), 10, seed=3)
    usual = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            keras.layers.Conv2D(32, 3, activation="relu"),
            keras.layers.MaxPooling2D(2),
            keras.layers.Conv2D(64, 3, activation="relu"),
            keras.layers.MaxPooling2D(2),
            keras.layers.Flatten(),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    usual.set_weights(network.get_weights())
    images = np.random.default_rng(0).uniform(-0.5, 0.5, (9, 28, 28, 1)).astype(np.float32)
    np.testing.assert_allclose(network.predict_on_batch(images), usual.predict_on_batch(images), atol=1e-6)


@pytest.mark.parametrize("ensemble", [1, 2])
def test_training_changes_no_weight(ensemble: int) -> None:
    """The network for training and the one for prediction start with the same weights."""
    hp = RECIPES["accurate"].hyperparameters.model_copy(update={"ensemble": ensemble})
    for first, other in zip(
        build_network(hp, (28, 28, 1), 10, seed=5, training=True).get_weights(),
        build_network(hp, (28, 28, 1), 10, seed=5).get_weights(),
        strict=True,
    ):
        np.testing.assert_array_equal(first, other)


def test_ensemble(tmp_path: Path) -> None:
    """An ensemble predicts the mean of its members' probabilities, and is made of Keras's layers alone. In training,
    each member is told its own error."""
    hp = RECIPES["accurate"].hyperparameters.model_copy(update={"ensemble": 3})
    images = np.random.default_rng(0).uniform(-0.5, 0.5, (9, 28, 28, 1)).astype(np.float32)
    network = build_network(hp, (28, 28, 1), 10, seed=3)
    members = np.array([layer.predict_on_batch(images) for layer in network.layers if "member" in layer.name])
    assert len(members) == 3 and np.abs(members[0] - members[1]).max() > 0.001
    np.testing.assert_allclose(network.predict_on_batch(images), members.mean(axis=0), atol=1e-6)
    network.save(tmp_path / "network.keras")
    plain = [layer for layer in network._flatten_layers() if not type(layer).__module__.startswith("keras.")]
    assert not plain and keras.models.load_model(tmp_path / "network.keras").count_params() == network.count_params()

    trained = build_network(hp, (28, 28, 1), 10, seed=3, training=True)
    compile_for_training(trained, hp, steps_per_epoch=1)
    assert trained(images, training=True).shape == (9, 3, 10) and trained(images).shape == (9, 10)
    targets = np.eye(10, dtype=np.float32)[:9]
    each = [keras.losses.CategoricalCrossentropy(label_smoothing=hp.label_smoothing)(targets, m) for m in members]
    together = trained.loss(targets, members.transpose(1, 0, 2))
    assert float(together) == pytest.approx(float(np.mean(each)), rel=1e-5)


def test_time_augmentation() -> None:
    """A prediction is the mean over the image and four copies, each shifted by a pixel, where black comes in. It has
    the weights of the network without."""
    hp = RECIPES["tutorial"].hyperparameters
    images = np.random.default_rng(0).uniform(-0.5, 0.5, (3, 28, 28, 1)).astype(np.float32)
    once = build_network(hp, (28, 28, 1), 10, seed=1)
    augmented = build_network(hp.model_copy(update={"test_time_augmentation": True}), (28, 28, 1), 10)
    augmented.set_weights(once.get_weights())
    shifted = [images]
    for axis, by in ((1, -1), (1, 1), (2, -1), (2, 1)):
        copy = np.roll(images, by, axis)
        copy[(slice(None),) * axis + (0 if by == 1 else -1,)] = -0.5
        shifted.append(copy)
    expected = np.mean([once.predict_on_batch(copy) for copy in shifted], axis=0)
    np.testing.assert_allclose(augmented.predict_on_batch(images), expected, atol=1e-6)


def test_separable_convolutions() -> None:
    """All convolutions but the first take their pixels and their channels apart, which needs fewer weights."""
    hp = Hyperparameters(filters=(4, 6), pool=(1,), separable=True)
    kinds = [type(layer).__name__ for layer in build_network(hp, (8, 8, 1), 3).layers]
    assert kinds == ["Conv2D", "SeparableConv2D", "Flatten", "Dense"]
    network = build_network(hp, (8, 8, 1), 3)
    assert network.layers[1].count_params() == 4 * 9 + 4 * 6 + 6
    depthwise, pointwise, _ = network.layers[1].get_weights()
    assert np.ptp(depthwise) > 0 and np.ptp(pointwise) > 0
