"""The learning rate that a report draws is the one that training uses; a training of few steps says so."""

import numpy as np
import pytest

from tasks.model.hyperparameters import Hyperparameters
from tasks.model.schedule import FEW_STEPS, describe_few_steps, learning_rate


@pytest.mark.parametrize("warmup", [0.0, 0.2, 0.9])
def test_one_cycle_is_the_networks(warmup: float) -> None:
    """At each step, the rate is that of `network.OneCycle`, and at most the peak."""
    from tasks.model.network import OneCycle

    hp, schedule = Hyperparameters(learning_rate=0.03, warmup=warmup), OneCycle(0.03, 50, warmup)
    rates = [learning_rate(hp, step / 50) for step in range(51)]
    np.testing.assert_allclose(rates, [float(schedule(step)) for step in range(51)], rtol=1e-4, atol=1e-8)
    assert max(rates) <= 0.03 and rates[-1] == pytest.approx(3e-6)


def test_constant_rate_is_constant() -> None:
    """Without a schedule, the rate is the same all the time."""
    hp = Hyperparameters(learning_rate=0.01, schedule="constant")
    assert {learning_rate(hp, share) for share in (0.0, 0.5, 1.0)} == {0.01}


def test_few_steps_say_how_many_epochs_are_enough() -> None:
    """A training with few steps says so and names epochs that are enough, the fewest; one with enough says nothing."""
    few = Hyperparameters(batch_size=32, epochs=2)
    said = describe_few_steps(few, 100)
    assert "8 steps" in said and "100 images, 2 epochs" in said and "try --epochs 50" in said
    assert not describe_few_steps(few.model_copy(update={"epochs": 50}), 100)
    assert describe_few_steps(few.model_copy(update={"epochs": 49}), 100)
    assert not describe_few_steps(few, FEW_STEPS * 32 // 2)
